//! Roots and proofs, against the definitions of RFC 6962 and the test vectors of Certificate Transparency.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use enact_merkle::{Consistency, Frontier, Hash, Inclusion, empty_root, leaf_hash, node_hash};
use proptest::prelude::*;

/// The test data of Certificate Transparency's own implementation (`merkletree/merkle_tree_test.cc`).
const LEAVES: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn hash(text: &str) -> Hash {
    hex(text).try_into().unwrap()
}

fn given(leaves: &[Hash]) -> impl FnOnce(&mut dyn FnMut(Hash)) {
    |take| leaves.iter().for_each(|leaf| take(*leaf))
}

fn root(leaves: &[Hash]) -> Hash {
    leaves.iter().copied().collect::<Frontier>().root()
}

fn numbered(count: u64) -> Vec<Hash> {
    (0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect()
}

/// Section 2.1 of RFC 6962, word for word.
fn root_by_definition(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [one] => *one,
        many => {
            let half = many.len().next_power_of_two() / 2;
            node_hash(&root_by_definition(&many[..half]), &root_by_definition(&many[half..]))
        }
    }
}

/// Section 2.1.1, word for word.
fn path_by_definition(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return vec![];
    }
    let half = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(half);
    let (mut path, beside) = if index < half {
        (path_by_definition(index, left), right)
    } else {
        (path_by_definition(index - half, right), left)
    };
    path.push(root_by_definition(beside));
    path
}

/// Section 2.1.2, word for word.
fn consistency_by_definition(older: usize, leaves: &[Hash], is_whole: bool) -> Vec<Hash> {
    if older == leaves.len() {
        return if is_whole { vec![] } else { vec![root_by_definition(leaves)] };
    }
    let half = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(half);
    let (mut path, beside) = if older <= half {
        (consistency_by_definition(older, left, is_whole), right)
    } else {
        (consistency_by_definition(older - half, right, false), left)
    };
    path.push(root_by_definition(beside));
    path
}

#[test]
fn roots_are_those_of_certificate_transparency() {
    let leaves = LEAVES.map(|data| leaf_hash(&hex(data)));
    assert_eq!(empty_root(), hash("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
    for (size, expected) in (1..).zip(ROOTS) {
        assert_eq!(root(&leaves[..size]), hash(expected), "{size} leaves");
    }
}

#[test]
fn roots_and_proofs_are_those_of_the_definition_and_hold_for_every_size_up_to_70() {
    let all = numbered(70);
    for size in 0..=all.len() {
        let leaves = &all[..size];
        let whole = root(leaves);
        assert_eq!(whole, root_by_definition(leaves), "root of {size}");
        let proofs = Inclusion::prove(size as u64, 0..size as u64, given(&all));
        assert_eq!(proofs.len(), size);
        for (index, proof) in proofs.iter().enumerate() {
            assert_eq!(proof.path, path_by_definition(index, leaves), "{index} in {size}");
            assert!(proof.verify(leaves[index], whole), "{index} in {size}");
        }
        for older in 1..=size {
            let proof = Consistency::prove(older as u64, size as u64, given(&all)).unwrap();
            assert_eq!(proof.path, consistency_by_definition(older, leaves, true), "{older} in {size}");
            assert!(proof.verify(root(&leaves[..older]), whole), "{older} in {size}");
        }
    }
}

#[test]
fn nothing_is_proved_that_cannot_be() {
    let leaves = numbered(5);
    assert!(Inclusion::prove(5, [5, 6], given(&leaves)).is_empty(), "places behind the end");
    assert!(Inclusion::prove(9, [2], given(&leaves)).is_empty(), "too few leaves");
    assert!(Inclusion::prove(0, [0], given(&[])).is_empty(), "an empty log");
    assert!(Consistency::prove(0, 5, given(&leaves)).is_none(), "from nothing");
    assert!(Consistency::prove(6, 5, given(&leaves)).is_none(), "backwards");
    assert!(Consistency::prove(5, 9, given(&leaves)).is_none(), "too few leaves");
}

#[test]
fn a_frontier_goes_on_where_it_was_put_down() {
    let leaves = numbered(100);
    for size in 0..100 {
        let before: Frontier = leaves[..size].iter().copied().collect();
        let mut read = Frontier::from_parts(before.size(), before.roots().to_vec()).unwrap();
        assert_eq!(read, before);
        read.extend(leaves[size..].iter().copied());
        assert_eq!(read.root(), root(&leaves));
        let one_more = [before.roots(), &[leaves[0]]].concat();
        assert!(Frontier::from_parts(before.size(), one_more).is_none());
    }
}

proptest! {
    #[test]
    fn a_proof_of_inclusion_holds_for_its_leaf_place_size_and_root_alone(
        size in 1_u64..300, index in 0_u64..300, other in 0_u64..300, flipped in any::<prop::sample::Index>(),
    ) {
        let (index, other) = (index % size, other % size);
        let leaves = numbered(size);
        let whole = root(&leaves);
        let proof = Inclusion::prove(size, [index], given(&leaves)).pop().unwrap();
        prop_assert!(proof.verify(leaves[usize::try_from(index).unwrap()], whole));
        prop_assert_eq!(proof.verify(leaves[usize::try_from(other).unwrap()], whole), other == index);
        prop_assert_eq!(
            Inclusion { index: other, ..proof.clone() }.verify(leaves[usize::try_from(index).unwrap()], whole),
            other == index
        );
        prop_assert!(!proof.verify(leaves[usize::try_from(index).unwrap()], leaf_hash(b"another root")));
        if !proof.path.is_empty() {
            let mut damaged = proof.clone();
            let at = flipped.index(damaged.path.len() * 32);
            damaged.path[at / 32][at % 32] ^= 1;
            prop_assert!(!damaged.verify(leaves[usize::try_from(index).unwrap()], whole));
            let mut shorter = proof.clone();
            shorter.path.pop();
            prop_assert!(!shorter.verify(leaves[usize::try_from(index).unwrap()], whole));
        }
        let mut longer = proof;
        longer.path.push(whole);
        prop_assert!(!longer.verify(leaves[usize::try_from(index).unwrap()], whole));
    }

    #[test]
    fn a_proof_of_consistency_holds_for_a_beginning_alone(
        newer in 1_u64..300, older in 1_u64..300, changed in any::<prop::sample::Index>(),
        flipped in any::<prop::sample::Index>(),
    ) {
        let older = (older - 1) % newer + 1;
        let leaves = numbered(newer);
        let whole = root(&leaves);
        let beginning = &leaves[..usize::try_from(older).unwrap()];
        let proof = Consistency::prove(older, newer, given(&leaves)).unwrap();
        prop_assert!(proof.verify(root(beginning), whole));
        let mut another = beginning.to_vec();
        let at = changed.index(another.len());
        another[at][0] ^= 1;
        prop_assert!(!proof.verify(root(&another), whole), "a beginning that was changed");
        if !proof.path.is_empty() {
            let mut damaged = proof.clone();
            let at = flipped.index(damaged.path.len() * 32);
            damaged.path[at / 32][at % 32] ^= 1;
            prop_assert!(!damaged.verify(root(beginning), whole));
        }
        let mut longer = proof;
        longer.path.push(whole);
        prop_assert!(!longer.verify(root(beginning), whole));
    }
}
