//! Graphs of dependencies, by position: an order in which nothing comes before what it needs, or the circle that makes one
//! impossible.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// An order in which each comes after all its parents, of those that could come next always the first as given.
///
/// `parents` lists, for each position, those that it needs; positions that do not exist are ignored. Fails with a circle:
/// each of it needs the next, and the last the first.
pub fn ordered(parents: &[Vec<usize>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); parents.len()];
    let mut missing = vec![0_usize; parents.len()];
    for (at, needed) in parents.iter().enumerate() {
        for parent in needed {
            if let (Some(list), Some(count)) = (children.get_mut(*parent), missing.get_mut(at)) {
                list.push(at);
                *count += 1;
            }
        }
    }
    let free = missing.iter().enumerate().filter(|(_, count)| **count == 0);
    let mut next: BinaryHeap<Reverse<usize>> = free.map(|(at, _)| Reverse(at)).collect();
    let mut order = Vec::with_capacity(parents.len());
    while let Some(Reverse(at)) = next.pop() {
        order.push(at);
        for child in children.get(at).into_iter().flatten() {
            if let Some(count) = missing.get_mut(*child) {
                *count -= 1;
                if *count == 0 {
                    next.push(Reverse(*child));
                }
            }
        }
    }
    if order.len() == parents.len() { Ok(order) } else { Err(circle(parents, &missing)) }
}

/// A circle among those that still miss something: going from each to one that it misses must come back.
fn circle(parents: &[Vec<usize>], missing: &[usize]) -> Vec<usize> {
    let stuck = |at: usize| missing.get(at).is_some_and(|count| *count > 0);
    let mut path: Vec<usize> = Vec::new();
    let mut place = vec![None; parents.len()];
    let mut at = (0..parents.len()).find(|at| stuck(*at));
    while let Some(current) = at {
        if let Some(first) = place.get(current).copied().flatten() {
            return path.split_off(first);
        }
        if let Some(place) = place.get_mut(current) {
            *place = Some(path.len());
        }
        path.push(current);
        at = parents.get(current).and_then(|needed| needed.iter().copied().find(|parent| stuck(*parent)));
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(parents: &[&[usize]], expected: Result<&[usize], &[usize]>) {
        let parents: Vec<Vec<usize>> = parents.iter().map(|needed| needed.to_vec()).collect();
        assert_eq!(ordered(&parents).as_deref().map_err(Vec::as_slice), expected);
    }

    #[test]
    fn parents_come_first_and_otherwise_the_order_stays() {
        check(&[], Ok(&[]));
        check(&[&[], &[], &[]], Ok(&[0, 1, 2]));
        check(&[&[2], &[0], &[]], Ok(&[2, 0, 1]));
        check(&[&[], &[0, 0], &[0, 1]], Ok(&[0, 1, 2]));
        check(&[&[7]], Ok(&[0]));
    }

    #[test]
    fn a_circle_is_found_without_what_only_hangs_on_it() {
        check(&[&[0]], Err(&[0]));
        check(&[&[], &[2], &[3, 0], &[1], &[1]], Err(&[1, 2, 3]));
    }

    #[test]
    fn a_long_chain_is_no_trouble() {
        let chain: Vec<Vec<usize>> = (0..100_000_usize).map(|at| at.checked_sub(1).into_iter().collect()).collect();
        assert_eq!(ordered(&chain).unwrap().len(), 100_000);
    }
}
