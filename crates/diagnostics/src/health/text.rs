//! Values for people, and texts with placeholders.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

/// Returns a value with its unit, for people.
pub fn shown(value: f64, unit: &str) -> String {
    match unit {
        "1" => format!("{:.0} %", value * 100.0),
        "By" => size(value),
        "Cel" => format!("{value:.1} °C"),
        "dBm" => format!("{value:.0} dBm"),
        "s" => format!("{value:.0} s"),
        "V" | "A" | "W" => format!("{value:.2} {unit}"),
        // The counted thing is in braces; people know it from the name.
        _ => format!("{}", (value * 1000.0).round() / 1000.0),
    }
}

fn size(bytes: f64) -> String {
    const UNITS: [(f64, &str); 3] = [(1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    match UNITS.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", bytes / unit),
        None => format!("{bytes:.0} bytes"),
    }
}

/// Replaces the placeholders `{label}`, `{value}` and `{limit}` of a text. A value is not taken for a placeholder.
pub(super) fn filled(mut text: &str, label: &str, value: &str, limit: &str) -> String {
    let mut filled = String::new();
    while let Some((before, rest)) = text.split_once('{') {
        filled += before;
        let Some((name, after)) = rest.split_once('}') else {
            return filled + "{" + rest;
        };
        match name {
            "label" => filled += label,
            "value" => filled += value,
            "limit" => filled += limit,
            _ => filled.extend(["{", name, "}"]),
        }
        text = after;
    }
    filled + text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_short() {
        for (value, unit, text) in [
            (0.934, "1", "93 %"),
            (81.26, "Cel", "81.3 °C"),
            (-71.5, "dBm", "-72 dBm"),
            (1.5e9, "By", "1.5 GB"),
            (900.0, "By", "900 bytes"),
            (4.056, "V", "4.06 V"),
            (2.0, "{flag}", "2"),
            (0.33333, "{thread}", "0.333"),
        ] {
            assert_eq!(shown(value, unit), text);
        }
    }

    #[test]
    fn placeholders_are_filled_once() {
        let text = "{label}: {value} of {limit}, {other} {";
        assert_eq!(filled(text, "{value}", "1", "2"), "{value}: 1 of 2, {other} {");
    }
}
