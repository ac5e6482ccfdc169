//! The order of keys in printed YAML: numbers inside names count as numbers, so that `s2` comes
//! before `s10`. It is how go-yaml sorts, and what JSON output does not do.

use std::cmp::Ordering;

use serde_json::{Map, Value};

/// Keys whose mapping has no order of its own, wherever they stand.
const UNORDERED: [&str; 15] = [
    "services",
    "networks",
    "volumes",
    "secrets",
    "configs",
    "environment",
    "labels",
    "depends_on",
    "ulimits",
    "sysctls",
    "options",
    "driver_opts",
    "aux_addresses",
    "annotations",
    "storage_opt",
];

/// Sorts every mapping that has no order of its own.
pub(super) fn sort(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, child) in map.iter_mut() {
                sort(child);
                if let (true, Value::Object(map)) = (UNORDERED.contains(&key.as_str()), child) {
                    sort_keys(map);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(sort),
        _ => {}
    }
}

/// Sorts every mapping.
pub(super) fn sort_all(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.values_mut().for_each(sort_all);
            sort_keys(map);
        }
        Value::Array(items) => items.iter_mut().for_each(sort_all),
        _ => {}
    }
}

fn sort_keys(map: &mut Map<String, Value>) {
    let mut entries: Vec<(String, Value)> = std::mem::take(map).into_iter().collect();
    entries.sort_by(|(left, _), (right, _)| compare(left, right));
    map.extend(entries);
}

/// Compares at the first difference: letters after everything else, digits as numbers.
fn compare(left: &str, right: &str) -> Ordering {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let same = left.iter().zip(&right).take_while(|(l, r)| l == r).count();
    let (Some(l), Some(r)) = (left.get(same), right.get(same)) else {
        return left.len().cmp(&right.len());
    };
    match (l.is_alphabetic(), r.is_alphabetic()) {
        (true, true) => l.cmp(r),
        (false, false) => {
            let (l_run, r_run) = (digits(&left[same..]), digits(&right[same..]));
            l_run.cmp(&r_run).then(l.cmp(r))
        }
        (l_letter, _) => {
            // In the middle of a number a letter ends it, so that number is the smaller one.
            let in_number = same > 0 && left[same - 1].is_ascii_digit();
            if l_letter == in_number {
                Ordering::Less
            } else {
                Ordering::Greater
            }
        }
    }
}

/// The value and the length of the digits a text starts with.
fn digits(text: &[char]) -> (u128, usize) {
    let run: String = text.iter().take_while(|c| c.is_ascii_digit()).collect();
    let value = if run.is_empty() {
        0
    } else {
        run.parse().unwrap_or(u128::MAX)
    };
    (value, run.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_numbers() {
        let mut names = [
            "s10", "s2", "s1", "s", "b", "A", "s1b", "s12", "_x", "s-1", "10", "9",
        ];
        names.sort_by(|left, right| compare(left, right));
        let sorted = [
            "_x", "9", "10", "A", "b", "s", "s-1", "s1", "s1b", "s2", "s10", "s12",
        ];
        assert_eq!(names, sorted);
    }
}
