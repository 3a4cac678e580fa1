//! The receipts of this node, which one service makes and another one publishes in the catalogue.

use super::ReceiptMap;
use tokio::sync::watch;

/// A handle of the receipts of this node. The service that uploads files sets them, and the service `logs` lists them in the
/// catalogue of this node. A clone refers to the same receipts; see [`service::SharedValues`].
#[derive(Clone, Debug, Default)]
pub struct OwnReceipts(watch::Sender<ReceiptMap>);

impl OwnReceipts {
    /// Replaces the receipts.
    pub fn set(&self, receipts: ReceiptMap) {
        self.0.send_replace(receipts);
    }

    /// Returns a receiver of the receipts.
    pub(crate) fn subscribe(&self) -> watch::Receiver<ReceiptMap> {
        self.0.subscribe()
    }
}
