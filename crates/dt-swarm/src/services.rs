//! The services of the daemon.

use service::Registration;

/// The services of the daemon, one line each.
pub const SERVICES: &[Registration] = &[
    Registration::of::<discovery::Discovery>(),
    Registration::of::<logs::Logs>(),
    Registration::of::<content::Content>(),
    Registration::of::<transfers::Transfers>(),
    Registration::of::<uploads::Uploads>(),
    Registration::of::<access::Access>(),
    Registration::of::<diagnostics::Diagnostics>(),
    Registration::of::<usage::Usage>(),
];
