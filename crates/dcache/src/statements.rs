//! Several statements that are made together.

mod repeated;

use crate::{Item, Kind, Moment, PeerId, Room, Set, Statement, StatementError, Time, Validity};

/// Statements that a signer makes together: all of them or none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statements(Vec<Entry>);

/// One statement of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    kind: Kind,
    item: Item,
    validity: Validity,
    /// Whether the statement is made even if the set already has the same statement of the same signer.
    is_insistent: bool,
}

impl Statements {
    /// Returns an empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the kinds and items of the statements.
    pub fn iter(&self) -> impl Iterator<Item = (Kind, &Item)> {
        self.0.iter().map(|entry| (entry.kind, &entry.item))
    }

    /// Adds all statements of `others` at the end.
    pub fn append(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// Adds the statement that `item` is in its bucket during `validity`.
    pub fn propose(&mut self, item: Item, validity: Validity) -> &mut Self {
        self.0.push(Entry { kind: Kind::Propose, item, validity, is_insistent: false });
        self
    }

    /// Adds a proposal like [`Self::propose`], even if the set already has the same statement of the same signer. A
    /// signer uses this if it knows that another host uses its key. It must limit the rate of its proposals itself.
    pub fn insist(&mut self, item: Item, validity: Validity) -> &mut Self {
        self.0.push(Entry { kind: Kind::Propose, item, validity, is_insistent: true });
        self
    }

    /// Adds the statement that `item` is not in its bucket during `validity`.
    pub fn dismiss(&mut self, item: Item, validity: Validity) -> &mut Self {
        self.0.push(Entry { kind: Kind::Dismiss, item, validity, is_insistent: false });
        self
    }

    /// Removes the statements for which `signer` should not make a record at `now`. They are the statements that would
    /// not count, those that repeat an unchanged statement too early, and those for which there is no room. Extends the
    /// statements that hold at `now`, so that they also hold by the clocks of the neighbours. All statements of
    /// services pass through this function. Returns the number of statements for which there was no room.
    pub fn keep_worthwhile(&mut self, set: &Set, signer: PeerId, now: Moment) -> usize {
        self.keep_allowed(set, signer, now.time);
        self.reach(now);
        self.leave_out_repeated(set, signer, now);
        self.fit(set, signer, now.time)
    }

    /// Leaves out the statements that would not count if `signer` made them at `now`.
    pub fn keep_allowed(&mut self, set: &Set, signer: PeerId, now: Time) {
        self.0.retain(|entry| set.may(entry.kind, &entry.item, signer, now).is_ok());
    }

    /// Extends the statements that hold at `now`, so that they also hold by the clocks of the neighbours: see
    /// [`Validity::reaching`].
    pub fn reach(&mut self, now: Moment) {
        for entry in self.0.iter_mut().filter(|entry| entry.validity.contains(now.time)) {
            entry.validity = entry.validity.reaching(now);
        }
    }

    /// Leaves out the statements about new items for which `signer` has no room at `now`, and returns their number.
    pub fn fit(&mut self, set: &Set, signer: PeerId, now: Time) -> usize {
        let before = self.0.len();
        let mut room = Room::new(set, signer, now);
        self.0.retain(|entry| room.reserve(std::slice::from_ref(&entry.item)));
        before - self.0.len()
    }

    /// Returns the items that the statements are about.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.0.iter().map(|entry| &entry.item)
    }

    /// Returns the statements in the form in which they are signed.
    ///
    /// # Errors
    /// Returns an error if a statement is longer than allowed.
    pub fn into_signable(self) -> Result<Vec<Statement>, StatementError> {
        let signable = |entry: Entry| Statement::new(entry.kind, entry.item, entry.validity);
        self.0.into_iter().map(signable).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Data, End, Keypair, Limits, Policy, Record, buckets};

    const NOW: Time = Time(1_800_000_000);

    fn item(data: &str) -> Item {
        Item { bucket: buckets::SHARE_FILES.path(), data: Data::new(data).unwrap() }
    }

    fn proposals(data: &[&str]) -> Statements {
        let mut statements = Statements::new();
        for data in data {
            statements.propose(item(data), Validity::starting(NOW, 100));
        }
        statements
    }

    #[test]
    fn statements_for_which_the_signer_has_no_room_are_left_out() {
        let key = Keypair::from_seed([1; 32]);
        let mut set = Set::new(Policy::default(), Limits { stranger: 3, ..Limits::default() });
        let earlier = Statement::new(Kind::Propose, item("a"), Validity::starting(NOW, 50)).unwrap();
        set.admit_verified(Record::sign(earlier, &key, 1, End::default()), NOW).unwrap();
        let mut statements = proposals(&["a", "b", "c", "d", "e"]);
        assert_eq!(statements.fit(&set, key.peer_id(), NOW), 2);
        assert_eq!(statements, proposals(&["a", "b", "c"]), "a renewal needs no room");
    }

    #[test]
    fn a_statement_that_needs_a_role_is_left_out_without_the_role() {
        let me = Keypair::from_seed([1; 32]).peer_id();
        let mut statements = proposals(&["a"]);
        let role = Item { bucket: buckets::ADMIN.path(), data: me.into() };
        statements.propose(role, Validity::starting(NOW, 100));
        statements.keep_allowed(&Set::default(), me, NOW);
        assert_eq!(statements, proposals(&["a"]));
        assert_eq!(statements.into_signable().unwrap()[0].item(), &item("a"));
    }
}
