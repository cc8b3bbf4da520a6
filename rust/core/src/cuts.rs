//! Bytes in pieces, as they may arrive: what reads them must come to the same end with each.

/// Sizes of pieces: the least, odd ones, and one on the other side of the size below which pieces are copied.
const SIZES: [usize; 5] = [1, 3, 17, 255, 1500];

/// Some ways to cut `bytes`: into pieces of one size, and into two at a place that the bytes choose.
pub(crate) fn cuts(bytes: &[u8]) -> Vec<Vec<&[u8]>> {
    let place = bytes.iter().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)));
    let (first, second) = bytes.split_at(place % (bytes.len() + 1));
    let mut cuts: Vec<_> = SIZES.iter().map(|size| bytes.chunks(*size).collect()).collect();
    cuts.push(vec![first, second]);
    cuts
}
