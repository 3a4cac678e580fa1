//! `doctor`: says in one sentence each what works and what is wrong, with the way out.
//!
//! The I/O shell in `observe` fills `Observed`, with a deadline for each probe. Each check is a pure function of what
//! was observed, in a file of its own below `checks`. The faults that only `doctor` finds are in the table of `faults`;
//! those that the daemon knows anyway are in `telemetry::faults`.

mod checks;
pub mod faults;
mod findings;
mod observe;
mod observed;
mod parse;

use crate::Settings;
use crate::protocol::Finding;
use dcache::PeerId;
use observe::observe;
use observed::Observed;
use service::{Context, Failure};

/// Maximum number of findings in an answer.
const MAX_FINDINGS: usize = 64;

/// Runs all checks, and those of the path to `peer`. Takes at most eight seconds.
///
/// # Errors
/// When the daemon is stopping.
pub(crate) async fn diagnose(
    context: &Context,
    settings: &Settings,
    peer: Option<PeerId>,
) -> Result<Vec<Finding>, Failure> {
    let (observed, portal_probe) =
        tokio::join!(observe(context, peer), observe::page(&settings.portal_probe));
    let observed = Observed { settings: Some(settings.clone()), portal_probe, ..observed? };
    let mut findings: Vec<Finding> = checks::CHECKS.iter().flat_map(|check| check(&observed)).collect();
    findings.truncate(MAX_FINDINGS);
    Ok(findings)
}
