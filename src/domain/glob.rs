//! Patterns of relative paths: `*` and `?` within a name, `**` for any number of directories.

/// Whether a path, its parts separated by slashes, is one that a pattern means. Names are compared as they are.
pub fn matches(pattern: &str, path: &str) -> bool {
    let pattern: Vec<&str> = pattern.split('/').collect();
    let path: Vec<&str> = path.split('/').collect();
    parts(&pattern, &path)
}

fn parts(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        // At the end it means everything below, and not what it stands below.
        (Some((&"**", [])), rest) => rest.is_some(),
        (Some((&"**", after)), rest) => parts(after, path) || rest.is_some_and(|(_, below)| parts(pattern, below)),
        (Some((wanted, after)), Some((name, below))) => {
            let (wanted, name): (Vec<char>, Vec<char>) = (wanted.chars().collect(), name.chars().collect());
            word(&wanted, &name) && parts(after, below)
        }
        (None, None) => true,
        (None, Some(_)) | (Some(_), None) => false,
    }
}

/// Whether a name is one that a pattern without slashes means: the last `*` is what is tried again, so that it costs no
/// more than the product of the lengths.
fn word(pattern: &[char], name: &[char]) -> bool {
    let (mut at, mut seen, mut star) = (0, 0, None);
    while let Some(c) = name.get(seen) {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(wanted) if *wanted == '?' || wanted == c => {
                at += 1;
                seen += 1;
            }
            Some(_) | None => {
                let Some((back, from)) = star else { return false };
                star = Some((back, from + 1));
                at = back + 1;
                seen = from + 1;
            }
        }
    }
    pattern.get(at..).is_some_and(|rest| rest.iter().all(|c| *c == '*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stays_within_a_name_and_two_do_not() {
        let all = |pattern: &str, yes: &[&str], no: &[&str]| {
            for path in yes {
                assert!(matches(pattern, path), "{pattern} means {path}");
            }
            for path in no {
                assert!(!matches(pattern, path), "{pattern} does not mean {path}");
            }
        };
        all("*.tmp", &["a.tmp", ".tmp", "a.b.tmp"], &["d/a.tmp", "a.tmpx", "tmp"]);
        all("big/**", &["big/a", "big/a/b"], &["big", "bigger/a"]);
        all("**/*.o", &["a.o", "d/a.o", "d/e/a.o"], &["a.c"]);
        all("a/**/z", &["a/z", "a/b/z", "a/b/c/z"], &["z", "a/zz"]);
        all("run-?.txt", &["run-1.txt"], &["run-12.txt", "run-.txt"]);
        all("*a*b*c", &["abc", "xaxbxc", "aabbcc"], &["acb", "ab"]);
        all("data", &["data"], &["data/x", "Data"]);
    }
}
