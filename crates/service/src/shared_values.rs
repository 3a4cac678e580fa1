//! Values that services of one daemon share, such as the catalogues that one of them reads.

use std::any::{Any, TypeId};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Values that all services of the daemon share: one of each type. A value is usually a handle, such as the sender of a
/// channel, whose clones refer to the same state. So a service offers a type in its crate, and services that use this crate
/// get its value here. A clone refers to the same values.
#[derive(Clone, Default)]
pub struct SharedValues(Arc<Mutex<BTreeMap<TypeId, Box<dyn Any + Send + Sync>>>>);

impl SharedValues {
    /// Returns a clone of the value of this type. The first call makes the default value.
    pub fn get<T: Clone + Default + Send + Sync + 'static>(&self) -> T {
        // Each change leaves the table consistent, so a poisoned lock is safe to use.
        let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let value = values.entry(TypeId::of::<T>()).or_insert_with(|| Box::new(T::default()));
        // The key is the type of the value, so the value has this type.
        value.downcast_ref::<T>().cloned().unwrap_or_default()
    }
}

impl fmt::Debug for SharedValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = self.0.lock().unwrap_or_else(PoisonError::into_inner).len();
        f.debug_struct("SharedValues").field("values", &values).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::watch;

    #[test]
    fn all_clones_return_the_same_value_of_a_type_and_each_type_has_its_own() {
        let values = SharedValues::default();
        let other = values.clone();
        values.get::<watch::Sender<u8>>().send_replace(7);
        assert_eq!(*other.get::<watch::Sender<u8>>().borrow(), 7);
        assert_eq!(*other.get::<watch::Sender<u16>>().borrow(), 0);
        assert_eq!(*SharedValues::default().get::<watch::Sender<u8>>().borrow(), 0);
    }
}
