//! Why an image cannot be decoded, and how large one may be.

/// Pixels that an image may have at most: Pillow's limit (`DecompressionBombError` above twice
/// `Image.MAX_IMAGE_PIXELS`).
pub const MOST_PIXELS: u64 = 2 * 89_478_485;

/// Why bytes could not be turned into an image.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not JPEG and not a format that the `image` crate reads, or damaged.
    #[error("not a readable image: {0}")]
    Image(#[from] image::ImageError),
    /// A JPEG that libjpeg refuses.
    #[error("damaged JPEG: {0}")]
    Jpeg(String),
    /// A file that another reader refuses.
    #[error("not a readable image: {0}")]
    Other(String),
    /// More pixels than may be taken into memory.
    #[error(
        "claims {width} x {height} pixels, more than {most}; raise `max_pixels` in `[suite]` if it is real"
    )]
    TooLarge {
        /// Pixels in a row.
        width: usize,
        /// Rows.
        height: usize,
        /// The limit.
        most: u64,
    },
    /// No bytes at all.
    #[error("the image is empty (0 bytes)")]
    Empty,
}

/// Refuses images that would take too much memory.
pub(super) fn check_pixels(width: usize, height: usize, most: u64) -> Result<(), DecodeError> {
    match (width as u64).checked_mul(height as u64) {
        Some(0) => Err(DecodeError::Other(format!("{width} x {height} pixels"))),
        Some(pixels) if pixels <= most => Ok(()),
        _ => Err(DecodeError::TooLarge { width, height, most }),
    }
}
