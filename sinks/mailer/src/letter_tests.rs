use domain::ids::{AlertId, IngredientId, MerchantId};
use uuid::Uuid;

use super::*;

fn q(amount: i64) -> Quantity {
    Quantity::new(amount).unwrap()
}

fn alert(number: u8, ingredient: &str, unit: &str, levels: [i64; 3]) -> Notify {
    Notify {
        alert_id: AlertId::new(Uuid::from_u128(u128::from(number))),
        merchant_id: MerchantId::new(7),
        merchant_name: "Burger Bar".to_owned(),
        ingredient_id: IngredientId::new(i64::from(number)),
        ingredient_name: ingredient.to_owned(),
        unit: unit.to_owned(),
        level_before: q(levels[0]),
        level_after: q(levels[1]),
        full_level: q(levels[2]),
        threshold_pct: 50,
        recipients: vec!["cook@example.org".to_owned()],
        raised_at: Micros(1_795_203_300_000_000),
    }
}

fn onion() -> Notify {
    alert(1, "onion", "g", [500, 480, 1000])
}

#[test]
fn one_alert_names_the_ingredient_in_the_subject() {
    let letter = Letter::write(&[onion()]).unwrap();
    insta::assert_snapshot!("one_subject", letter.subject);
    insta::assert_snapshot!("one_text", letter.text);
    insta::assert_snapshot!("one_html", letter.html);
}

#[test]
fn a_digest_lists_each_alert() {
    let alerts = [
        onion(),
        alert(2, "crème fraîche", "ml", [1001, 1000, 2001]),
        alert(3, "bun", "piece", [2, 1, 3]),
    ];
    let letter = Letter::write(&alerts).unwrap();
    insta::assert_snapshot!("digest_subject", letter.subject);
    insta::assert_snapshot!("digest_text", letter.text);
    insta::assert_snapshot!("digest_html", letter.html);
}

#[test]
fn one_ingredient_that_fell_twice_is_one_ingredient() {
    let letter = Letter::write(&[onion(), onion()]).unwrap();
    assert_eq!(letter.subject, "Burger Bar: onion is below 50 %");
    assert_eq!(letter.text.matches("onion fell below").count(), 2);
}

#[test]
fn nasty_names_are_only_names() {
    let mut nasty = alert(1, "<script>alert('x')</script>&\"\u{202e}gnp", "g", [2, 1, 4]);
    nasty.merchant_name = "Bob\r\nBcc: all@example.org\r\n\r\n<b>hi\0\u{85}\u{2028}{{ 7 * 7 }}".to_owned();
    let letter = Letter::write(&[nasty]).unwrap();
    insta::assert_snapshot!("nasty_subject", letter.subject);
    insta::assert_snapshot!("nasty_text", letter.text);
    insta::assert_snapshot!("nasty_html", letter.html);
}

#[test]
fn a_name_of_nothing_or_of_everything_is_bounded() {
    assert_eq!(display_name(" \r\n\t "), "(no name)");
    assert_eq!(display_name(&"x".repeat(100_000)).chars().count(), LONGEST_NAME + 1);
}

#[test]
fn a_share_is_exact() {
    for (full, percent, text) in [
        (1000, 50, "500"),
        (1001, 50, "500.5"),
        (1, 25, "0.25"),
        (0, 50, "0"),
        (10, 1, "0.1"),
    ] {
        assert_eq!(share(q(full), percent), text);
    }
    assert_eq!(share(Quantity::MAX, 100), Quantity::MAX.to_string());
}

#[test]
fn no_alert_is_no_letter() {
    assert!(matches!(Letter::write(&[]), Err(LetterError::Empty)));
}
