//! Finds out how an archive is compressed, and decompresses it.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::ArchiveError;
use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::io::{self, BufRead, Read};

/// Maximum size of the window that a zstd frame may ask for, in bytes: that of level 20. The window is kept in memory.
const MAX_WINDOW_BYTES: u64 = 32 << 20;
/// First bytes of compressed files, and the methods.
const MAGIC: [(&[u8], Method); 5] = [
    (&[0x1f, 0x8b], Method::Gzip),
    (&[0x28, 0xb5, 0x2f, 0xfd], Method::Zstd),
    (b"BZh", Method::Unsupported("bzip2")),
    (&[0xfd, b'7', b'z', b'X', b'Z'], Method::Unsupported("xz")),
    (&[0x04, 0x22, 0x4d, 0x18], Method::Unsupported("lz4")),
];

#[derive(Clone, Copy)]
enum Method {
    Gzip,
    Zstd,
    Unsupported(&'static str),
}

/// Returns a reader of the archive without its compression.
pub(super) fn open<'a>(mut reader: impl BufRead + 'a) -> Result<Box<dyn Read + 'a>, ArchiveError> {
    let start = reader.fill_buf().map_err(ArchiveError::Damaged)?;
    let method = MAGIC.iter().find(|(magic, _)| start.starts_with(magic)).map(|(_, method)| *method);
    match method {
        None => Ok(Box::new(reader)),
        Some(Method::Gzip) => Ok(Box::new(MultiGzDecoder::new(reader))),
        Some(Method::Zstd) => Ok(Box::new(Frames::new(reader))),
        Some(Method::Unsupported(method)) => Err(ArchiveError::Compression { method }),
    }
}

/// The content of all zstd frames of a file, one after the other.
struct Frames<R> {
    reader: R,
    decoder: FrameDecoder,
    is_in_frame: bool,
}

impl<R: BufRead> Frames<R> {
    fn new(reader: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MAX_WINDOW_BYTES);
        Self { reader, decoder, is_in_frame: false }
    }

    /// Begins the next frame. Returns false at the end of the file.
    fn begin(&mut self) -> io::Result<bool> {
        while !self.reader.fill_buf()?.is_empty() {
            match self.decoder.init(&mut self.reader) {
                Ok(()) => {
                    self.is_in_frame = true;
                    return Ok(true);
                }
                Err(error) => self.skip(error)?,
            }
        }
        Ok(false)
    }

    /// Skips a frame that has no content for decoders, or returns the error.
    fn skip(&mut self, error: FrameDecoderError) -> io::Result<()> {
        let FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. }) = error
        else {
            return Err(io::Error::other(error));
        };
        let length = u64::from(length);
        let skipped = io::copy(&mut (&mut self.reader).take(length), &mut io::sink())?;
        if skipped < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    fn read_frame(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
            let one = BlockDecodingStrategy::UptoBlocks(1);
            self.decoder.decode_blocks(&mut self.reader, one).map_err(io::Error::other)?;
        }
        self.decoder.read(buffer)
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.is_in_frame {
                let read = self.read_frame(buffer)?;
                if read > 0 || buffer.is_empty() {
                    return Ok(read);
                }
                self.is_in_frame = false;
            }
            if !self.begin()? {
                return Ok(0);
            }
        }
    }
}
