//! Rebuilding the core from its rows. An attempt that was under way left its delivery pending and
//! due, so it is simply made again.

use std::sync::Arc;

use dunlin_types::Timestamp;

use crate::lane::Lane;
use crate::{
    Application, Delivery, DeliveryRow, DeliveryState, Endpoint, HealthRow, RestRow, Source,
    TallyRow, TaskRow,
};

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
        self.steer_as(&row, Timestamp::ZERO);
        self.config_mut().put_endpoint(Arc::new(row));
    }

    /// Takes back how an endpoint that fails has fared.
    pub fn restore_health(&mut self, row: HealthRow) {
        self.health.put(row);
    }

    /// Takes back how long a receiver is left alone.
    pub fn restore_rest(&mut self, row: RestRow) {
        let rest = |lane: &mut Lane| lane.rest_until(row.until);
        self.queue.steer(row.endpoint, Timestamp::ZERO, rest);
    }

    /// Takes back what has been counted of an hour.
    pub fn restore_tally(&mut self, row: TallyRow) {
        self.tallies.put(row);
    }

    /// Takes a task back; one that runs goes on where it was.
    pub fn restore_task(&mut self, row: TaskRow) {
        self.config_mut().put_task(Arc::new(row));
    }

    /// Takes a delivery back; one that has ended is of no interest. Overdue ones come out of
    /// [`Delivery::take_due`].
    pub fn restore_delivery(&mut self, row: DeliveryRow) {
        if row.state == DeliveryState::Pending {
            self.wipes.restored(row.message);
            self.queue.add_waiting(row);
        }
    }
}
