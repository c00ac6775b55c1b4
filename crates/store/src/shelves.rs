//! Shelves: the rows that a merchant's stock stands in, up to 64 ingredients each. Written by the stock-processor.

use domain::{
    ids::{IngredientId, MerchantId},
    pantry::{Ingredient, Pantry, Stock},
};
use sqlx::PgConnection;

use crate::error::StoreError;

/// Which ingredients of a pantry stand in one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shelf {
    number: i32,
    /// Where each stands in [`Pantry::ingredients`], place by place.
    slots: Box<[u32]>,
}

impl Shelf {
    /// The shelf of this number; every ingredient named is in the pantry.
    pub(crate) fn new(number: i32, places: impl IntoIterator<Item = IngredientId>, pantry: &Pantry) -> Self {
        let ingredients = pantry.ingredients();
        let slots = places.into_iter().filter_map(|id| {
            let slot = ingredients.binary_search_by_key(&id, |known| known.id).ok()?;
            u32::try_from(slot).ok()
        });
        Self {
            number,
            slots: slots.collect(),
        }
    }
}

/// What a batch comes to for every shelf it changes, column by column as the statement takes it.
#[derive(Clone, Debug, Default)]
pub struct ShelfChanges {
    merchants: Vec<i64>,
    shelves: Vec<i32>,
    /// From which place to which each shelf's levels stand in `is.on_hand` and `was.on_hand`, counted from 1.
    spans: Spans,
    is: Levels,
    was: Levels,
}

/// Some levels per shelf, one after another.
#[derive(Clone, Debug, Default)]
struct Levels {
    on_hand: Vec<i64>,
    /// Only of shelves where something is reserved; where that stands is in `reserved_spans`.
    reserved: Vec<i64>,
    reserved_spans: (Vec<Option<i32>>, Vec<Option<i32>>),
    armed: Vec<i64>,
}

/// First and last, counted from 1.
type Spans = (Vec<i32>, Vec<i32>);

impl ShelfChanges {
    /// Whether nothing changes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.merchants.is_empty()
    }

    /// Adds those of a merchant's shelves on which something is not as it was before. `is` and `before` are in the order
    /// of [`Pantry::ingredients`].
    pub fn add(&mut self, merchant: MerchantId, shelves: &[Shelf], is: &[Ingredient], before: &[Stock]) {
        let changed = |slot: &u32| is[*slot as usize].stock != before[*slot as usize];
        for shelf in shelves.iter().filter(|shelf| shelf.slots.iter().any(changed)) {
            self.merchants.push(merchant.get());
            self.shelves.push(shelf.number);
            let first = self.is.on_hand.len();
            self.is.add(shelf.slots.iter().map(|slot| is[*slot as usize].stock));
            self.was.add(shelf.slots.iter().map(|slot| before[*slot as usize]));
            self.spans.0.push(place(first + 1));
            self.spans.1.push(place(self.is.on_hand.len()));
        }
    }
}

impl Levels {
    fn add(&mut self, stocks: impl Iterator<Item = Stock> + Clone) {
        let mut armed = 0;
        let mut is_reserved = false;
        for (place, stock) in stocks.clone().enumerate() {
            self.on_hand.push(stock.on_hand.get());
            armed |= i64::from(stock.alert_armed) << place;
            is_reserved |= stock.reserved.get() > 0;
        }
        self.armed.push(armed);
        let first = self.reserved.len();
        if is_reserved {
            self.reserved.extend(stocks.map(|stock| stock.reserved.get()));
        }
        // A slice without an end is null, as the column is where nothing is reserved.
        self.reserved_spans.0.push(is_reserved.then(|| place(first + 1)));
        self.reserved_spans
            .1
            .push(is_reserved.then(|| place(self.reserved.len())));
    }
}

/// A place in an array of Postgres.
fn place(index: usize) -> i32 {
    // A batch changes far fewer ingredients than 2^31; Postgres takes no array of so many.
    i32::try_from(index).unwrap_or(i32::MAX)
}

/// Writes the new levels where the old ones are what was decided against: a hand in the table shows here.
pub(crate) async fn change(connection: &mut PgConnection, changes: &ShelfChanges) -> Result<(), StoreError> {
    // Every shelf's levels are a slice of one flat array: an array of arrays of different lengths is no array.
    let written = sqlx::query!(
        "UPDATE shelves SET
             on_hand = ($5::int8[])[u.first:u.last],
             reserved = ($6::int8[])[u.reserved_first:u.reserved_last],
             armed = u.armed
         FROM unnest($1::int8[], $2::int4[], $3::int4[], $4::int4[], $7::int4[], $8::int4[], $9::int8[],
                     $12::int4[], $13::int4[], $14::int8[])
             AS u (merchant_id, shelf, first, last, reserved_first, reserved_last, armed,
                   was_reserved_first, was_reserved_last, was_armed)
         WHERE shelves.merchant_id = u.merchant_id AND shelves.shelf = u.shelf
           AND shelves.armed = u.was_armed AND shelves.on_hand = ($10::int8[])[u.first:u.last]
           AND shelves.reserved IS NOT DISTINCT FROM ($11::int8[])[u.was_reserved_first:u.was_reserved_last]",
        &changes.merchants,
        &changes.shelves,
        &changes.spans.0,
        &changes.spans.1,
        &changes.is.on_hand,
        &changes.is.reserved,
        &changes.is.reserved_spans.0 as &[Option<i32>],
        &changes.is.reserved_spans.1 as &[Option<i32>],
        &changes.is.armed,
        &changes.was.on_hand,
        &changes.was.reserved,
        &changes.was.reserved_spans.0 as &[Option<i32>],
        &changes.was.reserved_spans.1 as &[Option<i32>],
        &changes.was.armed,
    )
    .execute(connection)
    .await?
    .rows_affected();
    let wanted = changes.merchants.len() as u64;
    if written == wanted {
        return Ok(());
    }
    Err(StoreError::Conflict(format!(
        "{} of {wanted} shelves hold other levels than were decided against: somebody else writes the shelves table",
        wanted - written,
    )))
}
