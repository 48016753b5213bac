//! Event names that were probably meant to be the same.

/// Edits by which long names may differ.
const EDITS_MAX: usize = 2;
/// Up to this many characters, an edit makes another name rather than a typing error.
const SHORT_NAME_CHARS_MAX: usize = 5;
/// Names beyond this length are not compared letter by letter.
const COMPARED_CHARS_MAX: usize = 512;

/// Whether an event name differs from the wanted one only a little: in case, in a separator, in
/// one of several words, or by up to two edits in a longer name. Equal names are no near miss.
#[must_use]
pub fn near_miss(wanted: &str, got: &str) -> bool {
    if wanted == got || wanted.is_empty() || got.is_empty() {
        return false;
    }
    let (wanted, got) = (wanted.to_lowercase(), got.to_lowercase());
    let (wanted_words, got_words) = (words(&wanted), words(&got));
    wanted_words == got_words
        || differ_in_one_word(&wanted_words, &got_words)
        || are_few_edits_apart(&wanted, &got)
}

fn words(name: &str) -> Vec<&str> {
    name.split(['.', '/', '_', '-'])
        .filter(|word| !word.is_empty())
        .collect()
}

/// One word replaced, with at least one other to tell that the names belong together.
fn differ_in_one_word(wanted: &[&str], got: &[&str]) -> bool {
    wanted.len() > 1
        && wanted.len() == got.len()
        && wanted.iter().zip(got).filter(|(a, b)| a != b).count() == 1
}

fn are_few_edits_apart(wanted: &str, got: &str) -> bool {
    let (wanted, got): (Vec<_>, Vec<_>) = (wanted.chars().collect(), got.chars().collect());
    let shorter = wanted.len().min(got.len());
    let longer = wanted.len().max(got.len());
    shorter > SHORT_NAME_CHARS_MAX
        && longer <= COMPARED_CHARS_MAX
        && longer - shorter <= EDITS_MAX
        && distance(&wanted, &got) <= EDITS_MAX
}

/// Insertions, deletions and replacements between two texts; a swap of neighbours counts as two.
fn distance(left: &[char], right: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (above, a) in left.iter().enumerate() {
        let mut diagonal = above;
        row[0] = above + 1;
        for (before, b) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[before + 1];
            row[before + 1] = replaced.min(row[before] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::near_miss;

    #[test]
    fn typing_errors_are_near_misses() {
        for (wanted, got) in [
            ("payment/succeeded", "Payment/Succeeded"),
            ("payment/succeeded", "payment.succeeded"),
            ("payment.succeeded", "payment_succeeded"),
            ("payment.succeeded", "payment.failed"),
            ("payment.succeeded", "payments.succeeded"),
            ("payment.succeeded", "payment.suceeded"),
            ("dodo/payment.succeeded", "dodo/refund.succeeded"),
            ("checkout", "chekcout"),
            ("user-created", "user/created/"),
        ] {
            assert!(near_miss(wanted, got), "{wanted} {got}");
            assert!(near_miss(got, wanted), "{got} {wanted}");
        }
    }

    #[test]
    fn other_names_and_equal_names_are_not() {
        for (wanted, got) in [
            ("payment.succeeded", "payment.succeeded"),
            ("payment.succeeded", "refund.failed"),
            ("order", "older"),
            ("ping", "pong"),
            ("a", ""),
            ("", ""),
            ("checkout", "shipment"),
            ("payment.succeeded", "payment"),
        ] {
            assert!(!near_miss(wanted, got), "{wanted} {got}");
        }
    }
}
