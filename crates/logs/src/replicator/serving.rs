//! Which files this node gives to peers on other networks.

use super::lending::Wanted;
use super::{Replicator, ReplicatorError};
use ipfs::Cid;
use ipfs::node::Serving;
use std::collections::BTreeSet;

impl Replicator {
    /// Tells the node which files it may give to peers on other networks. Files that are being fetched are private until the
    /// decision after the fetch, since only their content shows who the uploader is.
    pub(super) async fn restrict(&mut self, wanted: &Wanted) -> Result<(), ReplicatorError> {
        let mut private: BTreeSet<Cid> = self.decisions.decider().private().clone();
        private.extend(wanted.keys().chain(self.roots.values()));
        if self.private_roots.as_ref() != Some(&private) {
            self.node.set_private_roots(private.clone()).await?;
            self.private_roots = Some(private);
        }
        let may_leave = *self.settings.may_leave.borrow();
        self.node.serve_far(if may_leave == Some(true) { Serving::Open } else { Serving::None });
        Ok(())
    }
}
