//! Trying a message at an endpoint, once, without keeping it: the same transformation, signature
//! and checks of addresses as of a delivery, and nothing else of one.

use dunlin_delivery::{Attempted, Endpoint, Message};
use dunlin_types::{Code, Coded};

use crate::attempts;
use crate::handle::Node;

impl Node {
    /// Tries a message and waits for the end; whoever stops waiting stops the attempt.
    ///
    /// # Errors
    /// `Overloaded` while too many are being tried.
    pub async fn try_once(
        &self,
        endpoint: &Endpoint,
        message: &Message,
    ) -> Result<Attempted, Coded> {
        let place = self.shared.trials.try_acquire();
        let _place = place.map_err(|_| Coded::plain(Code::Overloaded))?;
        Ok(attempts::tried(&self.shared, endpoint, message).await)
    }
}
