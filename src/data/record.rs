//! What a layout yields of one example.

use std::collections::BTreeMap;

use crate::image::{DecodeError, Rgb, decode_within};

/// An image before decoding.
#[derive(Clone, Debug)]
pub enum RawImage {
    /// A file's bytes (JPEG, PNG, …).
    Encoded(Vec<u8>),
    /// Pixels that need no decoding.
    Pixels(Rgb),
    /// An example whose image cannot be had, and why; it follows `corrupt` like one that cannot be decoded.
    Unreadable(String),
}

impl RawImage {
    /// The image as RGB, if it has at most `most_pixels` pixels.
    pub fn decode(self, most_pixels: u64) -> Result<Rgb, DecodeError> {
        match self {
            Self::Encoded(bytes) => decode_within(&bytes, most_pixels),
            Self::Pixels(image) => Ok(image),
            Self::Unreadable(reason) => Err(DecodeError::Other(reason)),
        }
    }
}

/// The content of a field.
#[derive(Clone, Debug)]
pub enum Value {
    /// An image.
    Image(RawImage),
    /// Text, numbers, and what is made of them.
    Plain(serde_json::Value),
}

/// Fields by name. Identity and label of an example are kept apart, in [`super::Example`].
#[derive(Clone, Debug, Default)]
pub struct Record(BTreeMap<String, Value>);

impl Record {
    /// The field that holds the image of an image data set.
    pub const IMAGE: &str = "image";

    /// The same record with one more field.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.0.insert(name.to_owned(), value);
        self
    }

    /// Takes a field out.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    /// The document of a record without an image.
    #[must_use]
    pub fn into_document(self) -> serde_json::Map<String, serde_json::Value> {
        let plain = |(name, value)| match value {
            Value::Plain(value) => Some((name, value)),
            Value::Image(_) => None,
        };
        self.0.into_iter().filter_map(plain).collect()
    }

    /// The image of a record that has one.
    #[must_use]
    pub fn into_image(mut self) -> Option<RawImage> {
        match self.take(Self::IMAGE) {
            Some(Value::Image(image)) => Some(image),
            _ => None,
        }
    }
}

impl From<serde_json::Map<String, serde_json::Value>> for Record {
    fn from(document: serde_json::Map<String, serde_json::Value>) -> Self {
        Self(document.into_iter().map(|(name, value)| (name, Value::Plain(value))).collect())
    }
}

impl From<RawImage> for Record {
    fn from(image: RawImage) -> Self {
        Self::default().with(Self::IMAGE, Value::Image(image))
    }
}
