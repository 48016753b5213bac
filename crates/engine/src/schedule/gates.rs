//! All gates, by number and by what they stand for.

use std::collections::BTreeMap;

use crate::schedule::gate::{Gate, GateKey};

/// The gates.
#[derive(Debug, Default)]
pub(crate) struct Gates {
    slots: Vec<Option<Gate>>,
    free: Vec<u32>,
    by_key: BTreeMap<GateKey, u32>,
}

impl Gates {
    pub(crate) fn get(&self, gate: u32) -> Option<&Gate> {
        self.slots.get(gate as usize)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, gate: u32) -> Option<&mut Gate> {
        self.slots.get_mut(gate as usize)?.as_mut()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Gate> {
        self.slots.iter().flatten()
    }

    pub(crate) fn numbered(&self) -> impl Iterator<Item = (u32, &Gate)> {
        let slots = self.slots.iter().enumerate();
        slots.filter_map(|(n, gate)| Some((n as u32, gate.as_ref()?)))
    }

    pub(crate) fn find(&self, key: &GateKey) -> Option<u32> {
        self.by_key.get(key).copied()
    }

    pub(crate) fn add(&mut self, gate: Gate) -> u32 {
        let number = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() as u32 - 1
        });
        self.by_key.insert(gate.key.clone(), number);
        self.slots[number as usize] = Some(gate);
        number
    }

    /// Takes a gate away that no queue passes any more.
    pub(crate) fn remove(&mut self, number: u32) {
        if let Some(gate) = self.slots.get_mut(number as usize).and_then(Option::take) {
            self.by_key.remove(&gate.key);
            self.free.push(number);
        }
    }
}
