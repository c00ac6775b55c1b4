//! The rules of the pantry: examples first, then the properties that hold for every history.

use proptest::prelude::*;

use super::*;

const BEEF: IngredientId = IngredientId::new(1);
const CHEESE: IngredientId = IngredientId::new(2);
const ONION: IngredientId = IngredientId::new(3);
const BURGER: ProductId = ProductId::new(10);
const CHEESEBURGER: ProductId = ProductId::new(11);

fn q(amount: i64) -> Quantity {
    Quantity::new(amount).unwrap()
}

fn ingredient(id: IngredientId, level: i64) -> Ingredient {
    let threshold = Threshold {
        full_level: q(level),
        percent: 50,
    };
    Ingredient {
        id,
        threshold,
        stock: Stock {
            on_hand: q(level),
            reserved: Quantity::ZERO,
            alert_armed: true,
        },
    }
}

fn burger_bar() -> Pantry {
    Pantry::new(
        vec![
            ingredient(ONION, 1000),
            ingredient(BEEF, 20_000),
            ingredient(CHEESE, 5000),
        ],
        vec![
            Recipe {
                product: CHEESEBURGER,
                parts: vec![(BEEF, q(150)), (CHEESE, q(60))],
            },
            Recipe {
                product: BURGER,
                parts: vec![(BEEF, q(150)), (CHEESE, q(30)), (ONION, q(20))],
            },
        ],
    )
    .unwrap()
}

fn line(product: ProductId, quantity: i32) -> Line {
    Line { product, quantity }
}

fn order(pantry: &mut Pantry, lines: &[Line]) -> Result<Vec<Crossing>, Rejection> {
    let demand = pantry.decide_order(lines.iter().copied())?;
    Ok(pantry.take(&demand))
}

#[test]
fn lines_that_share_an_ingredient_are_summed() {
    let demand = burger_bar()
        .demand([line(BURGER, 2), line(CHEESEBURGER, 1), line(BURGER, 1)])
        .unwrap();
    let amounts: Vec<_> = demand.iter().map(|part| (part.ingredient, part.amount.get())).collect();
    assert_eq!(amounts, [(BEEF, 600), (CHEESE, 150), (ONION, 60)]);
}

#[test]
fn the_burger_bar_alerts_once_a_crossing() {
    let mut bar = burger_bar();
    let mut alerts = Vec::new();
    for n in 1..=50 {
        let crossings = order(&mut bar, &[line(BURGER, 1)]).unwrap();
        alerts.extend(
            crossings
                .iter()
                .map(|crossing| (n, crossing.ingredient, crossing.before, crossing.after)),
        );
    }
    let refused = order(&mut bar, &[line(BURGER, 1)]).unwrap_err();
    let shortfall = Shortfall {
        ingredient_id: ONION,
        needed: q(20),
        available: q(0),
    };
    assert_eq!(refused, Rejection::InsufficientStock(vec![shortfall]));

    let restock = bar.decide_adjustment(ONION, Adjustment::Restock(q(1000))).unwrap();
    assert_eq!(bar.adjust(&restock), None);
    for n in 51..=100 {
        let crossings = order(&mut bar, &[line(BURGER, 1)]).unwrap();
        alerts.extend(
            crossings
                .iter()
                .map(|crossing| (n, crossing.ingredient, crossing.before, crossing.after)),
        );
    }
    let expected = [
        (26, ONION, q(500), q(480)),
        (67, BEEF, q(10_100), q(9950)),
        (76, ONION, q(500), q(480)),
        (84, CHEESE, q(2510), q(2480)),
    ];
    assert_eq!(alerts, expected);
}

#[test]
fn a_refused_order_names_everything_it_lacks_and_takes_nothing() {
    let mut bar = burger_bar();
    let before = bar.clone();
    let Rejection::InsufficientStock(shortfalls) = order(&mut bar, &[line(BURGER, 200)]).unwrap_err() else {
        panic!("there is not enough for 200 burgers");
    };
    let lacking: Vec<_> = shortfalls
        .iter()
        .map(|s| (s.ingredient_id, s.needed.get(), s.available.get()))
        .collect();
    assert_eq!(
        lacking,
        [(BEEF, 30_000, 20_000), (CHEESE, 6000, 5000), (ONION, 4000, 1000)]
    );
    assert_eq!(bar, before);
}

#[test]
fn a_product_without_a_recipe_entry_is_unknown() {
    let unknown = ProductId::new(99);
    assert_eq!(
        burger_bar().decide_order([line(unknown, 1)]),
        Err(Rejection::UnknownProduct(unknown))
    );
}

#[test]
fn a_demand_beyond_all_bounds_is_refused() {
    let vast = vec![Recipe {
        product: BURGER,
        parts: vec![(BEEF, Quantity::MAX)],
    }];
    let pantry = Pantry::new(vec![ingredient(BEEF, 1)], vast).unwrap();
    assert_eq!(pantry.decide_order([line(BURGER, 2)]), Err(Rejection::DemandOutOfRange));
}

#[test]
fn a_recipe_of_unknown_ingredients_is_an_error() {
    let recipe = Recipe {
        product: BURGER,
        parts: vec![(BEEF, q(1))],
    };
    let error = Pantry::new(vec![], vec![recipe]).unwrap_err();
    assert_eq!(
        error,
        UnknownIngredient {
            product: BURGER,
            ingredient: BEEF
        }
    );
}

#[test]
fn waste_beyond_what_is_there_is_refused() {
    let bar = burger_bar();
    let refusal = bar.decide_adjustment(ONION, Adjustment::Waste(q(1001))).unwrap_err();
    assert_eq!(refusal, Refusal::MoreThanAvailable { available: q(1000) });
    let unknown = IngredientId::new(9);
    let refusal = bar.decide_adjustment(unknown, Adjustment::Restock(q(1))).unwrap_err();
    assert_eq!(refusal, Refusal::UnknownIngredient(unknown));
}

#[test]
fn a_recount_may_cross_the_threshold() {
    let mut bar = burger_bar();
    let counted = bar.decide_adjustment(ONION, Adjustment::Recount(q(499))).unwrap();
    let crossing = bar.adjust(&counted).unwrap();
    assert_eq!((crossing.before, crossing.after), (q(1000), q(499)));
}

#[derive(Clone, Debug)]
enum Step {
    Order(Vec<Line>),
    Adjust(IngredientId, Adjustment),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let one_line = (prop_oneof![Just(BURGER), Just(CHEESEBURGER)], 1..60_i32).prop_map(|(product, n)| line(product, n));
    let adjustment = (0..3, 0..2500_i64).prop_map(|(kind, amount)| match kind {
        0 => Adjustment::Restock(q(amount)),
        1 => Adjustment::Waste(q(amount)),
        _ => Adjustment::Recount(q(amount)),
    });
    let any_ingredient = prop_oneof![Just(BEEF), Just(CHEESE), Just(ONION)];
    let step = prop_oneof![
        4 => prop::collection::vec(one_line, 1..4).prop_map(Step::Order),
        1 => (any_ingredient, adjustment).prop_map(|(id, change)| Step::Adjust(id, change)),
    ];
    prop::collection::vec(step, 0..120)
}

/// Carries a step out and returns how each ingredient's level should have moved, with what crossed.
fn run(pantry: &mut Pantry, step: &Step) -> (Vec<(usize, i64)>, Vec<Crossing>) {
    match step {
        Step::Order(lines) => match pantry.decide_order(lines.iter().copied()) {
            Ok(demand) => {
                let moved = demand.iter().map(|part| (part.slot, -part.amount.get())).collect();
                (moved, pantry.take(&demand))
            }
            Err(_) => (vec![], vec![]),
        },
        Step::Adjust(id, change) => match pantry.decide_adjustment(*id, *change) {
            Ok(adjusted) => {
                let level = pantry.ingredients()[adjusted.slot].stock.on_hand.get();
                (
                    vec![(adjusted.slot, adjusted.on_hand.get() - level)],
                    pantry.adjust(&adjusted).into_iter().collect(),
                )
            }
            Err(_) => (vec![], vec![]),
        },
    }
}

proptest! {
    #[test]
    fn stock_is_conserved_and_never_negative(steps in steps()) {
        let mut pantry = burger_bar();
        let mut expected: Vec<i64> = pantry.ingredients().iter().map(|i| i.stock.on_hand.get()).collect();
        for step in &steps {
            for (slot, change) in run(&mut pantry, step).0 {
                expected[slot] += change;
            }
            let levels: Vec<i64> = pantry.ingredients().iter().map(|i| i.stock.on_hand.get()).collect();
            prop_assert_eq!(&levels, &expected);
            prop_assert!(levels.iter().all(|level| *level >= 0));
        }
    }

    #[test]
    fn alerts_are_the_crossings_of_the_history(steps in steps()) {
        let mut pantry = burger_bar();
        let mut low = [false; 3];
        for step in &steps {
            let crossed: Vec<_> = run(&mut pantry, step).1.iter().map(|crossing| crossing.ingredient).collect();
            let mut expected = Vec::new();
            for (slot, ingredient) in pantry.ingredients().iter().enumerate() {
                let is_low = ingredient.stock.available().get() * 2 < ingredient.threshold.full_level.get();
                if is_low && !low[slot] {
                    expected.push(ingredient.id);
                }
                low[slot] = is_low;
            }
            prop_assert_eq!(crossed, expected);
        }
    }

    #[test]
    fn a_replay_from_the_same_state_gives_the_same_decisions(steps in steps()) {
        let (mut first, mut again) = (burger_bar(), burger_bar());
        for step in &steps {
            prop_assert_eq!(run(&mut first, step), run(&mut again, step));
        }
        prop_assert_eq!(first, again);
    }

    #[test]
    fn a_merchant_does_not_depend_on_another(mine in steps(), theirs in steps()) {
        let (mut alone, mut beside, mut other) = (burger_bar(), burger_bar(), burger_bar());
        let mut theirs = theirs.iter();
        for step in &mine {
            run(&mut alone, step);
            run(&mut beside, step);
            theirs.next().map(|step| run(&mut other, step));
        }
        prop_assert_eq!(alone, beside);
    }
}
