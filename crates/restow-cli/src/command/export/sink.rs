//! Where an export goes: to the standard output, or to a file that appears when it is whole.

use crate::exit::{Exit, Failure};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Stdout, Write},
    path::{Path, PathBuf},
};

/// What is written to.
#[derive(Debug)]
pub(super) struct Sink {
    to: To,
    bytes: u64,
}

#[derive(Debug)]
enum To {
    Stdout(BufWriter<Stdout>),
    File {
        writer: BufWriter<File>,
        /// Where it is written, and where it will be.
        part: PathBuf,
        path: PathBuf,
        done: bool,
    },
}

impl Sink {
    pub(super) fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let to = match path {
            None => To::Stdout(BufWriter::new(io::stdout())),
            Some(path) => {
                let mut part = path.as_os_str().to_owned();
                part.push(".part");
                let part = PathBuf::from(part);
                let mut options = OpenOptions::new();
                options.write(true).create(true).truncate(true);
                #[cfg(unix)]
                std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
                let file = options.open(&part).map_err(|e| cannot(&part, e))?;
                To::File {
                    writer: BufWriter::new(file),
                    part,
                    path: path.to_owned(),
                    done: false,
                }
            }
        };
        Ok(Self { to, bytes: 0 })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.bytes += bytes.len() as u64;
        match &mut self.to {
            To::Stdout(writer) => Ok(writer.write_all(bytes)?),
            To::File { writer, part, .. } => writer.write_all(bytes).map_err(|e| cannot(part, e)),
        }
    }

    /// Makes the file appear; returns how many bytes were written.
    pub(super) fn finish(mut self) -> Result<u64, Failure> {
        match &mut self.to {
            To::Stdout(writer) => writer.flush()?,
            To::File {
                writer,
                part,
                path,
                done,
            } => {
                let written = writer.flush().and_then(|()| writer.get_ref().sync_all());
                written.map_err(|e| cannot(part, e))?;
                fs::rename(&part, &path).map_err(|e| cannot(path, e))?;
                *done = true;
            }
        }
        Ok(self.bytes)
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match &mut self.to {
            To::Stdout(writer) => writer.write(bytes),
            To::File { writer, .. } => writer.write(bytes),
        }?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.to {
            To::Stdout(writer) => writer.flush(),
            To::File { writer, .. } => writer.flush(),
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if let To::File {
            part, done: false, ..
        } = &self.to
        {
            // What is not whole is of no use.
            _ = fs::remove_file(part);
        }
    }
}

fn cannot(path: &Path, error: io::Error) -> Failure {
    Failure::new(Exit::Store, format!("{} cannot be written", path.display())).because(error)
}
