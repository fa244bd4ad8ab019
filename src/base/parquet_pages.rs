//! The headers of a Parquet file's pages, held against its footer before anything is decoded: a decoder that takes
//! memory for as many values as a damaged header claims ends the process.

use std::io::{BufReader, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::Path;

use polars_parquet_format::PageHeader;
use polars_parquet_format::thrift::protocol::TCompactInputProtocol;

use super::fs::open;

/// Largest header that is read, in bytes; statistics of long texts are the largest part of one.
const LARGEST_HEADER: usize = 16 << 20;
/// Largest page after decompression, in bytes.
const LARGEST_PAGE: u64 = 1 << 30;
/// Most values of a page; a run of equal ones takes a few bytes whatever its length.
const MOST_VALUES: u64 = 1 << 26;

/// A column of a row group, as the footer describes it.
pub struct Chunk {
    /// Where its pages lie in the file.
    pub bytes: Range<u64>,
    /// How many values they hold together.
    pub values: u64,
    /// The column.
    pub column: String,
}

/// Reads the page headers of `chunks` and refuses those that claim more values or bytes than there can be.
pub fn check(path: &Path, chunks: &[Chunk]) -> Result<(), String> {
    let file = open(path).map_err(|e| e.to_string())?;
    let size = file.metadata().map_err(|e| e.to_string())?.len();
    let mut reader = BufReader::new(file);
    for chunk in chunks {
        let refuse = |what: String| format!("column `{}`: {what}", chunk.column);
        if chunk.bytes.end > size || chunk.bytes.start > chunk.bytes.end {
            return Err(refuse("its pages lie outside the file".to_owned()));
        }
        let (mut seen, mut place) = (0, chunk.bytes.start);
        while seen < chunk.values && place < chunk.bytes.end {
            reader.seek(SeekFrom::Start(place)).map_err(|e| refuse(e.to_string()))?;
            let rest = reader.by_ref().take(chunk.bytes.end - place);
            let mut protocol = TCompactInputProtocol::new(rest, LARGEST_HEADER);
            let header = PageHeader::read_from_in_protocol(&mut protocol)
                .map_err(|e| refuse(format!("a page's header cannot be read: {e}")))?;
            seen += values(&header).map_err(refuse)?;
            let body = reader.stream_position().map_err(|e| refuse(e.to_string()))?;
            let length = u64::try_from(header.compressed_page_size).ok();
            let end = length.and_then(|l| body.checked_add(l)).filter(|&e| e <= chunk.bytes.end);
            place = end.ok_or_else(|| refuse("a page is longer than the column".to_owned()))?;
        }
        if seen > chunk.values {
            return Err(refuse(format!("its pages claim {seen} values, the footer {}", chunk.values)));
        }
    }
    Ok(())
}

/// The values of a data page; none for others.
fn values(header: &PageHeader) -> Result<u64, String> {
    let size = u64::try_from(header.uncompressed_page_size).ok().filter(|&s| s <= LARGEST_PAGE);
    let size = size.ok_or_else(|| format!("a page claims {} bytes", header.uncompressed_page_size))?;
    let claimed = |n: i32| {
        let fits = u64::try_from(n).ok().filter(|&n| n <= MOST_VALUES);
        fits.ok_or_else(|| format!("a page claims {n} values"))
    };
    if let Some(dictionary) = &header.dictionary_page_header
        && claimed(dictionary.num_values)? > size
    {
        return Err(format!("a dictionary of {size} bytes claims {} values", dictionary.num_values));
    }
    if let Some(data) = &header.data_page_header {
        return claimed(data.num_values);
    }
    let Some(data) = &header.data_page_header_v2 else { return Ok(0) };
    for levels in [data.definition_levels_byte_length, data.repetition_levels_byte_length] {
        if u64::try_from(levels).map_or(true, |l| l > size) {
            return Err(format!("a page of {size} bytes claims {levels} bytes of levels"));
        }
    }
    if data.num_nulls < 0 || data.num_nulls > data.num_values || data.num_rows < 0 {
        return Err(format!("a page of {} values claims {} nulls", data.num_values, data.num_nulls));
    }
    claimed(data.num_values)
}
