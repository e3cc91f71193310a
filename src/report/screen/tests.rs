//! What the filter lets through, by example and for any input.

use proptest::prelude::*;

use super::visible::Shown;
use super::*;

fn filtered(pieces: &[&[u8]]) -> String {
    let mut screen = Screen::with_limit(true, 40);
    let mut out = Vec::new();
    for piece in pieces {
        screen.push(piece, &mut out);
    }
    screen.finish(&mut out);
    String::from_utf8(out).unwrap()
}

#[track_caller]
fn check(input: impl AsRef<[u8]>, expected: &str) {
    assert_eq!(filtered(&[input.as_ref()]), expected);
}

#[test]
fn colours_pass_and_are_closed_before_the_line_ends() {
    check("\x1b[1;31mred\x1b[0m\n", "\x1b[1;31mred\x1b[0m\n");
    check("\x1b[31mred\nnext\n", "\x1b[31mred\x1b[0m\nnext\n");
    check("\x1b[38:2::1:2:3mx\x1b[m", "\x1b[38:2::1:2:3mx\x1b[m");
    check("\x1b[31mno newline", "\x1b[31mno newline\x1b[0m");
}

#[test]
fn without_colour_they_are_dropped() {
    let (mut screen, mut out) = (Screen::new(false), Vec::new());
    screen.push(b"\x1b[31mred\x1b[0m\n", &mut out);
    assert_eq!(out, b"red\n");
}

#[test]
fn every_other_escape_is_dropped() {
    check("a\x1b[2J\x1b[1;1Hb\x1b[?25l\x1b[>4m\x1b[6nc", "abc");
    check("a\x1bcb\x1b(Bc\x1b#8d\x1b7", "abcd");
    check("a\x1b[ mb\x1b[1 qc", "abc");
    check(format!("a\x1b[{}mb", "1;".repeat(500)), "ab");
    check("a\x1b[31", "a");
}

#[test]
fn strings_are_dropped_with_what_they_carry() {
    check("a\x1b]0;title\x07b", "ab");
    check("a\x1b]52;c;aGk=\x1b\\b", "ab");
    check("a\x1bPq#0\x1b\\b\x1b_x\x1b\\c\x1b^x\x1b\\d\x1bXx\x1b\\e\x1bktitle\x1b\\f", "abcdef");
    check("a\x1b]8;;http://x\u{9c}b", "ab");
    check("a\x1b]x\x1b[31mb", "a\x1b[31mb\x1b[0m");
}

#[test]
fn an_unfinished_escape_does_not_swallow_the_next_line() {
    check("a\x1b]0;never ended\nb\n", "a\nb\n");
    check("a\x1b[12\nb", "a\nb");
    check("a\x1b\nb", "a\nb");
    check("a\x1b(\nb", "a\nb");
    check("a\x1b]x\x1b\nb", "a\nb");
}

#[test]
fn other_controls_are_shown() {
    check("a\x07\x08\0\x7f\x0c", r"a\x07\x08\x00\x7f\x0c");
    check("a\u{9b}31mb\u{90}", r"a\u{9b}31mb\u{90}");
    check("\u{202e}abc\u{2066}\u{200e}", r"\u{202e}abc\u{2066}\u{200e}");
    check("a\tb\n", "a\tb\n");
    check("a\x1b[\x1831m", r"a\x1831m");
}

#[test]
fn invalid_bytes_are_replaced() {
    check(b"a\x9b31mb\xff\n", "a\u{fffd}31mb\u{fffd}\n");
    check(b"\xe2\x82x", "\u{fffd}x");
    check(b"\xe2\x82", "\u{fffd}");
    check(b"\xed\xa0\x80", "\u{fffd}\u{fffd}\u{fffd}");
}

#[test]
fn a_progress_bar_is_folded_to_its_last_frame() {
    check("10%\r50%\r100%\n", "100%\n");
    check("10%\r100%\r\n", "100%\n");
    check("text\r\nnext\r\r\n", "text\nnext\n");
    check("long text\rab\n", "ab\n");
    check("\x1b[31m10%\r\x1b[32m20%\x1b[0m\n", "\x1b[32m20%\x1b[0m\n");
    check("100%\r\x1b[0m\n", "100%\x1b[0m\n");
    check(format!("{}\rshort\n", "x".repeat(100)), "short\n");
    check(format!("{}\r\x1b[32mgreen\n", "x".repeat(100)), "\x1b[32mgreen\x1b[0m\n");
}

#[test]
fn a_long_line_is_cut_with_its_rest_counted() {
    let forty = "x".repeat(40);
    check(&forty, &forty);
    check(format!("{forty}y\nz"), &format!("{forty}… [+1 bytes]\nz"));
    check(format!("\x1b[31m{forty}é\x1b[32my\n"), &format!("\x1b[31m{forty}\x1b[0m… [+3 bytes]\n"));
    check(format!("{}\x07ab", "x".repeat(38)), &format!("{}… [+3 bytes]", "x".repeat(38)));
}

#[test]
fn a_line_without_end_takes_no_memory() {
    let (mut screen, mut out) = (Screen::new(true), Vec::new());
    for _ in 0..1000 {
        screen.push(&b"\x1b[31m".repeat(1000), &mut out);
        screen.push(&[0; 10_000], &mut out);
    }
    assert!(out.is_empty());
    screen.push(b"\n", &mut out);
    assert!(out.len() < 100_000);
    assert!(String::from_utf8(out).unwrap().ends_with("\x1b[0m… [+9998976 bytes]\n"));
}

/// Bytes of which escapes and their parts make up a good deal.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..6),
        prop::sample::select(vec![
            "\x1b",
            "\x1b[",
            "\x1b]",
            "\x1bP",
            "\x1b_",
            "\x1b\\",
            "\x07",
            "\r",
            "\n",
            "\r\n",
            "31",
            ";",
            "m",
            "?",
            "\t",
            "\u{9b}",
            "\u{9c}",
            "\u{202e}",
            "é",
            "🦀",
            "plain text",
            "\x18",
            "\0",
            "(",
            "k",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    prop::collection::vec(pieces, 0..60).prop_map(|pieces| pieces.concat())
}

/// Takes colour sequences away; what is left must be harmless throughout.
fn without_colours(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let mut left = parts.next().unwrap().to_owned();
    for part in parts {
        let end = part.find(|c: char| !matches!(c, '0'..='9' | ';' | ':')).expect("a final byte");
        left.push_str(part[end..].strip_prefix('m').expect("a colour"));
    }
    left
}

proptest! {
    #[test]
    fn nothing_harmful_comes_out(input in hostile()) {
        let out = filtered(&[&input]);
        for c in without_colours(&out).chars() {
            prop_assert!(c == '\n' || c == '\t' || Shown::of(c).is_none(), "{c:?} in {out:?}");
        }
        prop_assert_eq!(out.split('\n').count(), input.split(|byte| *byte == b'\n').count());
    }

    #[test]
    fn chunks_make_no_difference(input in hostile(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)) {
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
        at.extend([0, input.len()]);
        at.sort_unstable();
        let pieces: Vec<&[u8]> = at.windows(2).map(|pair| &input[pair[0]..pair[1]]).collect();
        let whole = filtered(&[&input]);
        prop_assert_eq!(&filtered(&pieces), &whole);
        prop_assert_eq!(filtered(&input.chunks(1).collect::<Vec<_>>()), whole);
    }

    #[test]
    fn plain_lines_pass_unchanged(text in "([ -~\t]{0,40}\n){0,5}[ -~]{0,40}") {
        prop_assert_eq!(filtered(&[text.as_bytes()]), text);
    }

    #[test]
    fn valid_text_of_any_language_passes(text in "[\\p{L}\\p{Nd}]{0,40}") {
        prop_assert_eq!(filtered(&[text.as_bytes()]), text);
    }
}
