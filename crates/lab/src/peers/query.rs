//! Queries to databases with the HTTP interface of Prometheus, by curl.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use crate::tool::run;
use crate::{Error, Host, Result};

/// Result of an expression for one series.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// Labels of the series.
    pub labels: BTreeMap<String, String>,
    /// Value of the expression.
    pub value: f64,
}

/// A stored sample: seconds since the Unix epoch, and the value.
pub type Sample = (u64, f64);

/// Returns a command that requests an address with these parameters.
pub(super) fn request(host: &Host, url: &str, parameters: &[(&str, &str)]) -> Command {
    let mut command = host.command("curl");
    command.args(["--silent", "--show-error", "--fail-with-body", "--max-time", "120", "--get", url]);
    for (name, value) in parameters {
        command.arg("--data-urlencode").arg(format!("{name}={value}"));
    }
    command
}

/// Evaluates an expression now.
pub(super) fn query(host: &Host, url: &str, expression: &str) -> Result<Vec<Query>> {
    let text = run(request(host, url, &[("query", expression)]), "")?;
    let answer: Value = serde_json::from_str(&text).unwrap_or_default();
    let series = answer["data"]["result"].as_array().map(|series| series.iter().map(one).collect());
    series.flatten().ok_or_else(|| Error::answer(format!("the query {expression}"), text))
}

fn one(series: &Value) -> Option<Query> {
    let labels = series["metric"].as_object()?;
    let label = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
    Some(Query {
        labels: labels.iter().filter_map(label).collect(),
        value: series["value"][1].as_str()?.parse().ok()?,
    })
}

/// Reads a list of pairs of a time in seconds and a value as text.
pub(super) fn read_samples(values: &Value) -> Option<Vec<Sample>> {
    let sample = |pair: &Value| Some((pair[0].as_f64()? as u64, pair[1].as_str()?.parse().ok()?));
    values.as_array()?.iter().map(sample).collect()
}
