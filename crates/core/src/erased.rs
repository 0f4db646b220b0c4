//! The one place where an action's type is erased. In front of it everything is typed, behind it everything
//! is JSON text.

use std::any::Any;
use std::fmt::{self, Debug};
use std::marker::PhantomData;
use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::Value;

use crate::action::{
    Action, Captured, Doubt, EffectClass, Facts, Left, LockKey, Preview, Record, Target, Undo,
};
use crate::connector::{ActionSpec, Connector, Cx, Perform};
use crate::error::{Error, ErrorCode};
use crate::json::{JsonText, MAX_BYTES};

pub(crate) trait ErasedAction: Debug + Send + Sync {
    fn spec(&self) -> ActionSpec;
    fn prepare(&self, params: &JsonText) -> Result<Prepared, Error>;
}

/// An action of a connector value.
pub(crate) struct Bound<C, A> {
    connector: Arc<C>,
    action: PhantomData<fn() -> A>,
}

impl<C, A> Bound<C, A> {
    pub(crate) fn new(connector: Arc<C>) -> Self {
        Self { connector, action: PhantomData }
    }
}

impl<C: Debug, A: Action> Debug for Bound<C, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {:?}", A::NAME, self.connector)
    }
}

impl<C: Connector + Perform<A>, A: Action> ErasedAction for Bound<C, A> {
    fn spec(&self) -> ActionSpec {
        ActionSpec::of::<A>(self.connector.effect())
    }

    fn prepare(&self, params: &JsonText) -> Result<Prepared, Error> {
        let action: A = params.decode().map_err(|error| error.context(A::NAME).left_nothing())?;
        let params = JsonText::encode(&action)?;
        Ok(Prepared(Box::new(Request { connector: Arc::clone(&self.connector), action, params })))
    }
}

/// One typed request, bound to the connector that will carry it out. Knows its parameters to be right;
/// nothing has happened.
#[derive(Debug)]
pub struct Prepared(Box<dyn ErasedRequest>);

/// What capture found, and what `perform` takes.
#[derive(Debug)]
pub enum Capture {
    /// As [`Captured::Ready`].
    Ready {
        /// The pre-state, as the intent keeps it.
        pre: JsonText,
        /// What policies may ask about it.
        facts: Facts,
        /// To be given to [`Prepared::perform`], or dropped.
        ready: Ready,
    },
    /// As [`Captured::AlreadyDone`].
    AlreadyDone(JsonText),
}

/// The typed pre-state and what capture holds.
pub struct Ready(Box<dyn Any + Send>);

impl Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ready")
    }
}

/// The undo of an action by another: its name and its parameters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UndoAction {
    /// The name of the undo.
    pub name: &'static str,
    /// The version of its JSON form.
    pub version: u32,
    /// Its parameters.
    pub params: JsonText,
}

impl Prepared {
    /// What is known of the action.
    #[must_use]
    pub fn spec(&self) -> ActionSpec {
        self.0.spec()
    }

    /// The exact parameters, as policies judge and the log keeps them.
    #[must_use]
    pub fn params(&self) -> &JsonText {
        self.0.params()
    }

    /// What it touches.
    #[must_use]
    pub fn target(&self) -> Target {
        self.0.target()
    }

    /// The key under which it waits for others.
    #[must_use]
    pub fn lock(&self) -> Option<LockKey> {
        self.0.lock()
    }

    /// See [`Action::shown_by`].
    ///
    /// # Errors
    /// Parameters without a JSON form.
    pub fn shown_by(&self) -> Result<Option<(&'static str, JsonText)>, Error> {
        let shown_by = self.0.shown_by();
        shown_by.map(|(action, params)| Ok((action, JsonText::encode(&params)?))).transpose()
    }

    /// See [`Perform::capture`].
    ///
    /// # Errors
    /// What the connector found; nothing was changed.
    pub async fn capture(&self, cx: &Cx) -> Result<Capture, Error> {
        self.0.capture(cx).await
    }

    /// See [`Perform::preview`]. Where capture did not say anything to show, it is what policies may ask about.
    ///
    /// # Errors
    /// What the connector found.
    pub async fn preview(&self, cx: &Cx) -> Result<Preview<JsonText>, Error> {
        self.0.preview(cx).await
    }

    /// See [`Perform::perform`].
    ///
    /// # Errors
    /// What the connector says.
    pub async fn perform(&self, cx: &Cx, ready: Ready) -> Result<JsonText, Error> {
        self.0.perform(cx, ready).await
    }

    /// See [`Perform::probe`].
    ///
    /// # Errors
    /// What the connector says; the doubt stays.
    pub async fn probe(&self, cx: &Cx, pre: &JsonText) -> Result<Doubt<JsonText>, Error> {
        self.0.probe(cx, pre).await
    }

    /// See [`Perform::undo`]. `output` is there where all of the action is to be undone and its output known.
    ///
    /// # Errors
    /// Where the recorded pre-state does not read as this action's.
    pub fn undo(&self, pre: &JsonText, output: Option<&JsonText>) -> Result<Undo<UndoAction>, Error> {
        self.0.undo(pre, output)
    }
}

trait ErasedRequest: Debug + Send + Sync {
    fn spec(&self) -> ActionSpec;
    fn params(&self) -> &JsonText;
    fn target(&self) -> Target;
    fn lock(&self) -> Option<LockKey>;
    fn shown_by(&self) -> Option<(&'static str, Value)>;
    fn capture<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Capture, Error>>;
    fn preview<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Preview<JsonText>, Error>>;
    fn perform<'a>(&'a self, cx: &'a Cx, ready: Ready) -> BoxFuture<'a, Result<JsonText, Error>>;
    fn probe<'a>(&'a self, cx: &'a Cx, pre: &'a JsonText) -> BoxFuture<'a, Result<Doubt<JsonText>, Error>>;
    fn undo(&self, pre: &JsonText, output: Option<&JsonText>) -> Result<Undo<UndoAction>, Error>;
}

struct Request<C, A> {
    connector: Arc<C>,
    action: A,
    params: JsonText,
}

impl<C: Debug, A: Action> Debug for Request<C, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", A::NAME, self.action.target())
    }
}

impl<C: Connector + Perform<A>, A: Action> ErasedRequest for Request<C, A> {
    fn spec(&self) -> ActionSpec {
        ActionSpec::of::<A>(self.connector.effect())
    }

    fn params(&self) -> &JsonText {
        &self.params
    }

    fn target(&self) -> Target {
        self.action.target()
    }

    fn lock(&self) -> Option<LockKey> {
        self.action.lock()
    }

    fn shown_by(&self) -> Option<(&'static str, Value)> {
        self.action.shown_by()
    }

    fn capture<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Capture, Error>> {
        Box::pin(async move {
            Ok(match self.connector.capture(cx, &self.action).await? {
                Captured::AlreadyDone(output) => Capture::AlreadyDone(JsonText::encode(&output)?),
                Captured::Ready { pre, facts, held } => Capture::Ready {
                    pre: write_down(&pre, A::NAME, &facts)?,
                    facts,
                    ready: Ready(Box::new((pre, held))),
                },
            })
        })
    }

    fn preview<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Preview<JsonText>, Error>> {
        Box::pin(async move {
            let Preview { already_done, facts, mut shown, irreversible } =
                self.connector.preview(cx, &self.action).await?;
            let already_done = already_done.map(|output| JsonText::encode(&output)).transpose()?;
            if shown.before == JsonText::null() && !facts.is_empty() {
                shown.before = JsonText::encode(&facts)?;
            }
            Ok(Preview { already_done, facts, shown, irreversible })
        })
    }

    fn perform<'a>(&'a self, cx: &'a Cx, ready: Ready) -> BoxFuture<'a, Result<JsonText, Error>> {
        Box::pin(async move {
            let ready = ready.0.downcast::<(A::PreState, <C as Perform<A>>::Held)>().map_err(|_| {
                Error::new(ErrorCode::Internal, format!("capture of another action given to {}", A::NAME))
                    .left_nothing()
            })?;
            let (pre, held) = *ready;
            let output = self.connector.perform(cx, &self.action, &pre, held).await?;
            JsonText::encode(&output).map_err(|error| {
                if self.spec().effect == EffectClass::ReadOnly {
                    return error.context(format!("what {} gave", A::NAME)).left_nothing();
                }
                let why = error.message();
                let message = format!("{} was done, and what it gave cannot be written down: {why}", A::NAME);
                Error::new(ErrorCode::Internal, message).with_source(error)
            })
        })
    }

    fn probe<'a>(&'a self, cx: &'a Cx, pre: &'a JsonText) -> BoxFuture<'a, Result<Doubt<JsonText>, Error>> {
        Box::pin(async move {
            let pre: A::PreState = read(pre, A::NAME, "pre-state")?;
            Ok(match self.connector.probe(cx, &self.action, &pre).await? {
                // It is done, whatever it gave: an output that cannot be written down is left out, as one that was lost.
                Doubt::Applied(output) => Doubt::Applied(JsonText::encode(&output).unwrap_or_default()),
                Doubt::NotApplied => Doubt::NotApplied,
                Doubt::Unknown(reason) => Doubt::Unknown(reason),
            })
        })
    }

    fn undo(&self, pre: &JsonText, output: Option<&JsonText>) -> Result<Undo<UndoAction>, Error> {
        let pre: A::PreState = read(pre, A::NAME, "pre-state")?;
        // An output that is not what its type says is as good as one that was lost: the intent is enough to undo.
        let output: Option<A::Output> = output.and_then(|text| text.decode().ok());
        if <C as Perform<A>>::effect(&self.connector) == EffectClass::ReadOnly {
            return Ok(Undo::Nothing);
        }
        let left = output.as_ref().map_or(Left::Partly, Left::Done);
        Ok(match self.connector.undo(&self.action, &pre, left) {
            Undo::By(undo) => Undo::By(UndoAction {
                name: <A::Undo as Action>::NAME,
                version: <A::Undo as Action>::VERSION,
                params: JsonText::encode(&undo)?,
            }),
            Undo::Nothing => Undo::Nothing,
            Undo::Irreversible(reason) => Undo::Irreversible(reason),
        })
    }
}

/// What undo and probe will stand on, as text. What cannot be written, or would not read back, is found out here,
/// before anything happens.
fn write_down<P: Record>(pre: &P, action: &str, facts: &Facts) -> Result<JsonText, Error> {
    let text = JsonText::encode(pre).map_err(|error| error.context(format!("the pre-state of {action}")))?;
    read::<P>(&text, action, "pre-state")?;
    let found = JsonText::encode(facts).map_err(|error| error.context(format!("what {action} found")))?;
    let bytes = text.as_str().len().saturating_add(found.as_str().len());
    if bytes > MAX_BYTES {
        let message = format!(
            "the pre-state of {action} and what it found have {bytes} bytes, and there is place for {MAX_BYTES}"
        );
        return Err(Error::new(ErrorCode::InvalidParameters, message));
    }
    Ok(text)
}

fn read<T: serde::de::DeserializeOwned>(text: &JsonText, action: &str, what: &str) -> Result<T, Error> {
    text.decode().map_err(|error| {
        Error::new(
            ErrorCode::Internal,
            format!("the recorded {what} of {action} cannot be read: {}", error.message()),
        )
    })
}
