//! The tree of seeds. A node is a block whose lowest bit is its control bit and whose other bits are its seed.

use std::sync::LazyLock;

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt, KeyInit};

/// Blocks encrypted in one call; enough for the pipelined instructions.
const LANES: usize = 64;

/// What sets the children of a node apart: [left, right], with the control bits in the lowest bits.
pub(super) type Correction = [u128; 2];

/// The generator of the tree, under fixed keys that everybody knows.
pub(super) struct Tree {
    children: [Aes128; 2],
    leaf: Aes128,
}

static TREE: LazyLock<Tree> = LazyLock::new(|| {
    let keyed = |key: &[u8; 16]| Aes128::new(&(*key).into());
    Tree {
        children: [keyed(b"ditto dpf: left "), keyed(b"ditto dpf: right")],
        leaf: keyed(b"ditto dpf: leaf "),
    }
});

/// `bits` where the node's control bit is set, else 0; without a branch.
pub(super) fn controlled(node: u128, bits: u128) -> u128 {
    bits & (node & 1).wrapping_neg()
}

/// G(s) = AES(s) xor s for the seeds of at most [`LANES`] nodes.
fn compress(aes: &Aes128, nodes: &[u128], out: &mut [u128; LANES]) {
    let mut blocks = [aes::Block::default(); LANES];
    let blocks = &mut blocks[..nodes.len()];
    for (block, node) in blocks.iter_mut().zip(nodes) {
        *block = (node & !1).to_le_bytes().into();
    }
    aes.encrypt_blocks(blocks);
    for ((out, block), node) in out.iter_mut().zip(blocks).zip(nodes) {
        *out = u128::from_le_bytes((*block).into()) ^ (node & !1);
    }
}

impl Tree {
    pub(super) fn fixed() -> &'static Self {
        &TREE
    }

    /// The children of one node, uncorrected.
    pub(super) fn children(&self, node: u128) -> [u128; 2] {
        self.children.each_ref().map(|aes| {
            let mut out = [0; LANES];
            compress(aes, &[node], &mut out);
            out[0]
        })
    }

    /// Replaces the first `count` nodes by their corrected children, in order and in place.
    pub(super) fn descend(&self, nodes: &mut [u128], count: usize, correction: &Correction) {
        let mut parents = [0; LANES];
        let mut children = [[0; LANES]; 2];
        // From the end: children of the nodes still to be read lie behind these.
        for start in (0..count).step_by(LANES).rev() {
            let n = LANES.min(count - start);
            parents[..n].copy_from_slice(&nodes[start..start + n]);
            for (aes, out) in self.children.iter().zip(&mut children) {
                compress(aes, &parents[..n], out);
            }
            let pairs = nodes[2 * start..2 * (start + n)].as_chunks_mut::<2>().0;
            for (i, pair) in pairs.iter_mut().enumerate() {
                *pair = [0, 1].map(|side| children[side][i] ^ controlled(parents[i], correction[side]));
            }
        }
    }

    /// Hands the leaf block of every node to `each`, with the node.
    pub(super) fn leaves(&self, nodes: &[u128], mut each: impl FnMut(u128, u128)) {
        let mut out = [0; LANES];
        for nodes in nodes.chunks(LANES) {
            compress(&self.leaf, nodes, &mut out);
            nodes.iter().zip(out).for_each(|(&node, leaf)| each(node, leaf));
        }
    }

    /// The leaf block of one node.
    pub(super) fn leaf(&self, node: u128) -> u128 {
        let mut leaf = 0;
        self.leaves(&[node], |_, block| leaf = block);
        leaf
    }
}
