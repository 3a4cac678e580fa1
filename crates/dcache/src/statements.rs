//! Several statements that are made together.

mod repeated;

use crate::{Item, Kind, Moment, PeerId, Room, Set, Statement, StatementError, Time, Validity};

/// Statements that are made together: all of them, or none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statements(Vec<Entry>);

/// One of several statements.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    kind: Kind,
    item: Item,
    validity: Validity,
    /// Whether it is stated even if the set has the same by the same signer already.
    is_insistent: bool,
}

impl Statements {
    /// Returns an empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Goes through the kinds and items of the statements.
    pub fn iter(&self) -> impl Iterator<Item = (Kind, &Item)> {
        self.0.iter().map(|entry| (entry.kind, &entry.item))
    }

    /// Adds all of `others`, after these.
    pub fn append(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// Adds that `item` is in its bucket during `validity`.
    pub fn propose(&mut self, item: Item, validity: Validity) -> &mut Self {
        self.0.push(Entry { kind: Kind::Propose, item, validity, is_insistent: false });
        self
    }

    /// As [`Self::propose`], even if the set has the same by the same signer already. For a signer that knows that another
    /// host uses its key, and paces itself.
    pub fn insist(&mut self, item: Item, validity: Validity) -> &mut Self {
        self.0.push(Entry { kind: Kind::Propose, item, validity, is_insistent: true });
        self
    }

    /// Adds that `item` is not in its bucket during `validity`.
    pub fn dismiss(&mut self, item: Item, validity: Validity) -> &mut Self {
        self.0.push(Entry { kind: Kind::Dismiss, item, validity, is_insistent: false });
        self
    }

    /// Leaves out what is not worth a record of `signer` at `now`: what would not count, what repeats an unchanged word too
    /// early, and what finds no room. What holds at `now` is made to hold by the clocks of the neighbours as well. Everything
    /// that services state goes through here. Returns the number of statements that found no room.
    pub fn keep_worthwhile(&mut self, set: &Set, signer: PeerId, now: Moment) -> usize {
        self.keep_allowed(set, signer, now.time);
        self.reach(now);
        self.leave_out_repeated(set, signer, now);
        self.fit(set, signer, now.time)
    }

    /// Leaves out those that would not count, were `signer` to make them at `now`.
    pub fn keep_allowed(&mut self, set: &Set, signer: PeerId, now: Time) {
        self.0.retain(|entry| set.may(entry.kind, &entry.item, signer, now).is_ok());
    }

    /// Makes those that hold at `now` hold by the clocks of the neighbours as well: see [`Validity::reaching`].
    pub fn reach(&mut self, now: Moment) {
        for entry in self.0.iter_mut().filter(|entry| entry.validity.contains(now.time)) {
            entry.validity = entry.validity.reaching(now);
        }
    }

    /// Leaves out those about new items for which `signer` has no more room at `now`, and returns their number.
    pub fn fit(&mut self, set: &Set, signer: PeerId, now: Time) -> usize {
        let before = self.0.len();
        let mut room = Room::new(set, signer, now);
        self.0.retain(|entry| room.reserve(std::slice::from_ref(&entry.item)));
        before - self.0.len()
    }

    /// Returns the items that they are about.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.0.iter().map(|entry| &entry.item)
    }

    /// Returns them as they are signed.
    ///
    /// # Errors
    /// When one of them is longer than a statement may be.
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
    fn what_finds_no_room_beside_the_signers_earlier_records_is_left_out() {
        let key = Keypair::from_seed([1; 32]);
        let mut set = Set::new(Policy::default(), Limits { stranger: 3, ..Limits::default() });
        let earlier = Statement::new(Kind::Propose, item("a"), Validity::starting(NOW, 50)).unwrap();
        set.admit_verified(Record::sign(earlier, &key, 1, End::default()), NOW).unwrap();
        let mut statements = proposals(&["a", "b", "c", "d", "e"]);
        assert_eq!(statements.fit(&set, key.peer_id(), NOW), 2);
        assert_eq!(statements, proposals(&["a", "b", "c"]), "a renewal needs no room");
    }

    #[test]
    fn what_others_would_have_to_say_is_left_out() {
        let me = Keypair::from_seed([1; 32]).peer_id();
        let mut statements = proposals(&["a"]);
        let role = Item { bucket: buckets::ADMIN.path(), data: me.into() };
        statements.propose(role, Validity::starting(NOW, 100));
        statements.keep_allowed(&Set::default(), me, NOW);
        assert_eq!(statements, proposals(&["a"]));
        assert_eq!(statements.into_signable().unwrap()[0].item(), &item("a"));
    }
}
