//! Messages as they are on the wire: a tag, a length that counts itself, and a body. The first has no tag.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, BufWriter};

/// Of a statement, and of the state of a transaction.
pub(super) const QUERY: u8 = b'Q';
/// Gives a statement its text.
pub(super) const PARSE: u8 = b'P';
/// Gives a portal its statement.
pub(super) const BIND: u8 = b'B';
/// Runs a portal.
pub(super) const EXECUTE: u8 = b'E';
/// Ends a series of messages, and asks for [`READY`].
pub(super) const SYNC: u8 = b'S';
/// Calls a function the old way; is answered with [`READY`].
pub(super) const FUNCTION_CALL: u8 = b'F';
/// The server waits for the next statement.
pub(super) const READY: u8 = b'Z';
/// The server waits for data, and ignores [`SYNC`] until it has them.
pub(super) const COPY_IN: u8 = b'G';

const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;
const CANCEL_REQUEST: u32 = 80_877_102;
/// PostgreSQL takes no larger ones.
const LONGEST: usize = 1 << 30;

/// A message with a tag.
#[derive(Debug)]
pub(super) struct Message {
    /// What it is.
    pub(super) tag: u8,
    /// What follows the length.
    pub(super) body: Vec<u8>,
}

/// How a client begins, without the length.
#[derive(Debug)]
pub(super) enum Opening {
    /// A session.
    Session(Vec<u8>),
    /// The wish that another session stops what it does.
    Cancel(Vec<u8>),
}

/// Reads messages.
#[derive(Debug)]
pub(super) struct Reader<R>(BufReader<R>);

/// Writes messages.
#[derive(Debug)]
pub(super) struct Writer<W: AsyncWrite>(BufWriter<W>);

impl<R: AsyncRead + Unpin> Reader<R> {
    pub(super) fn new(stream: R) -> Self {
        Self(BufReader::new(stream))
    }

    /// The next message, or `None` when the other side has ended.
    pub(super) async fn message(&mut self) -> io::Result<Option<Message>> {
        let tag = match self.0.read_u8().await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            tag => tag?,
        };
        Ok(Some(Message { tag, body: self.body().await? }))
    }

    /// Whether nothing more has come yet.
    pub(super) fn is_drained(&self) -> bool {
        self.0.buffer().is_empty()
    }

    async fn body(&mut self) -> io::Result<Vec<u8>> {
        let length = usize::try_from(self.0.read_u32().await?).unwrap_or(usize::MAX);
        let length = length.checked_sub(4).filter(|length| *length <= LONGEST);
        let mut body = vec![0; length.ok_or_else(|| io::Error::other("no length of a message"))?];
        self.0.read_exact(&mut body).await?;
        Ok(body)
    }
}

/// What the client wants. Encryption is refused until it asks for something else.
pub(super) async fn opening<R, W>(reader: &mut Reader<R>, client: &mut W) -> io::Result<Opening>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    loop {
        let body = reader.body().await?;
        match body.first_chunk().map(|code| u32::from_be_bytes(*code)) {
            Some(SSL_REQUEST | GSS_REQUEST) => client.write_all(b"N").await?,
            Some(CANCEL_REQUEST) => return Ok(Opening::Cancel(body)),
            _ => return Ok(Opening::Session(body)),
        }
    }
}

impl<W: AsyncWrite + Unpin> Writer<W> {
    pub(super) fn new(stream: W) -> Self {
        Self(BufWriter::new(stream))
    }

    pub(super) async fn message(&mut self, message: &Message) -> io::Result<()> {
        self.0.write_u8(message.tag).await?;
        self.untagged(&message.body).await
    }

    pub(super) async fn untagged(&mut self, body: &[u8]) -> io::Result<()> {
        let length = u32::try_from(body.len() + 4).map_err(io::Error::other)?;
        self.0.write_u32(length).await?;
        self.0.write_all(body).await
    }

    pub(super) async fn flush(&mut self) -> io::Result<()> {
        self.0.flush().await
    }

    /// Sends what there is, and that no more will come.
    pub(super) async fn end(&mut self) -> io::Result<()> {
        self.0.shutdown().await
    }
}

/// Takes a text that ends with a zero byte off the front.
pub(super) fn take_text(body: &mut &[u8]) -> Option<String> {
    let end = body.iter().position(|byte| *byte == 0)?;
    let (text, rest) = body.split_at_checked(end)?;
    *body = rest.get(1..)?;
    Some(String::from_utf8_lossy(text).into_owned())
}
