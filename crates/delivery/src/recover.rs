//! Rebuilding the core from its rows. An attempt that was under way left its delivery pending and
//! due, so it is simply made again.

use std::sync::Arc;

use crate::{Application, Delivery, DeliveryRow, DeliveryState, Endpoint, Source};

impl Delivery {
    /// Takes an application back.
    pub fn restore_application(&mut self, row: Application) {
        self.config_mut().put_application(Arc::new(row));
    }

    /// Takes a source back.
    pub fn restore_source(&mut self, row: Source) {
        self.config_mut().put_source(Arc::new(row));
    }

    /// Takes an endpoint back.
    pub fn restore_endpoint(&mut self, row: Endpoint) {
        self.config_mut().put_endpoint(Arc::new(row));
    }

    /// Takes a delivery back; one that has ended is of no interest. Overdue ones come out of
    /// [`Delivery::take_due`].
    pub fn restore_delivery(&mut self, row: DeliveryRow) {
        if row.state == DeliveryState::Pending {
            self.queue.add_waiting(row);
        }
    }
}
