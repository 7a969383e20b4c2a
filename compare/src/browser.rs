//! The lessons' pages in a real browser: headless Chromium, Chrome or Edge.

use std::{
    sync::{Arc, PoisonError, Weak},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use chromiumoxide::{
    Browser, BrowserConfig, Page,
    cdp::{
        IntoEventKind,
        browser_protocol::{
            browser::{
                Bounds, BrowserContextId, GetWindowForTargetParams,
                SetWindowBoundsParams, WindowState,
            },
            emulation::{
                MediaFeature, SetDeviceMetricsOverrideParams, SetEmulatedMediaParams,
            },
            log::EventEntryAdded,
            network::{
                EventRequestWillBeSent, EventWebSocketFrameSent, Headers,
                SetExtraHttpHeadersParams,
            },
            page::{
                CaptureScreenshotFormat, SetWebLifecycleStateParams,
                SetWebLifecycleStateState,
            },
            target::{CreateBrowserContextParams, CreateTargetParams},
        },
        js_protocol::runtime::{EventConsoleApiCalled, EventExceptionThrown},
    },
    page::ScreenshotParams,
};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    runtime::{Builder, Runtime},
    sync::{Mutex, watch},
    time::{sleep, timeout},
};

use crate::{Lesson, Target, chromium};

/// How long a page may take for what it should do soon. Its longest back-off is 10 s.
pub const SOON: Duration = Duration::from_secs(30);

/// The packet with which Engine.IO leaves HTTP long-polling for WebSocket (Engine.IO v4,
/// "Upgrade").
const UPGRADE: &str = "5";

/// How long a page is asked one thing, before it is asked again.
const LOOK: Duration = Duration::from_secs(2);

/// How long a browser may take to start.
const START: Duration = Duration::from_secs(60);

/// A browser, which all windows of a process share: to start one takes longer than most
/// trials. It has a thread of its own, since it outlives the trial that opened it.
struct Shared {
    browser: Browser,
    runtime: Option<Runtime>,
    _profile: TempDir,
}

impl Shared {
    /// The one that runs, or a new one.
    async fn running() -> Result<Arc<Self>> {
        static RUNNING: Mutex<Weak<Shared>> = Mutex::const_new(Weak::new());
        let mut running = RUNNING.lock().await;
        if let Some(shared) = running.upgrade() {
            return Ok(shared);
        }
        let shared = Arc::new(Self::start().await?);
        *running = Arc::downgrade(&shared);
        Ok(shared)
    }

    async fn start() -> Result<Self> {
        let profile = tempfile::tempdir()?;
        let config = chromium::start(BrowserConfig::builder())?
            .user_data_dir(profile.path())
            // In CI the tests run as root, where Chromium's sandbox cannot. Pages are ours.
            .no_sandbox()
            .args(["disable-background-networking", "disable-component-update"])
            .launch_timeout(START)
            .build()
            .map_err(anyhow::Error::msg)?;
        let runtime =
            Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let launch = runtime.spawn(async {
            let (browser, mut handler) = Browser::launch(config).await?;
            tokio::spawn(async move { while handler.next().await.is_some() {} });
            anyhow::Ok(browser)
        });
        let browser = launch.await??;
        Ok(Self { browser, runtime: Some(runtime), _profile: profile })
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Dropping it would wait, which a trial's own runtime does not allow.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A window that knows nothing of the others: no cookies, no cache and no tabs in common.
/// Dropping it closes its tabs.
pub struct Window {
    shared: Arc<Shared>,
    context: BrowserContextId,
}

impl Window {
    /// Opens it.
    ///
    /// # Errors
    /// When no Chromium, Chrome or Edge is found, or it does not start.
    pub async fn open() -> Result<Self> {
        let shared = Shared::running().await?;
        let context = CreateBrowserContextParams::default();
        let context = shared.browser.create_browser_context(context).await?;
        Ok(Self { shared, context })
    }

    /// Opens the page that stands there, for a visitor who reads `language`.
    ///
    /// # Errors
    /// When the browser does not.
    pub async fn tab(&self, target: Target, language: &str) -> Result<Tab> {
        let address = target.address;
        let page = self.blank().await?;
        page.enable_log().await?;
        let headers = Headers::new(json!({ "Accept-Language": language }));
        page.execute(SetExtraHttpHeadersParams::new(headers)).await?;
        let tab =
            Tab { page, troubles: Arc::default(), upgraded: watch::Sender::new(false) };
        tab.watch::<EventConsoleApiCalled>(|event| Some(format!("{event:?}"))).await?;
        tab.watch::<EventExceptionThrown>(|event| Some(format!("{event:?}"))).await?;
        tab.watch::<EventEntryAdded>(|event| Some(event.entry.text.clone())).await?;
        let own = [format!("http://{address}/"), format!("ws://{address}/")];
        tab.watch::<EventRequestWillBeSent>(move |event| {
            let url = &event.request.url;
            let allowed =
                own.iter().any(|own| url.starts_with(own)) || url == "about:blank";
            (!allowed).then(|| format!("request to {url}"))
        })
        .await?;
        let upgraded = tab.upgraded.clone();
        tab.watch::<EventWebSocketFrameSent>(move |event| {
            if event.response.payload_data == UPGRADE {
                upgraded.send_replace(true);
            }
            None
        })
        .await?;
        tab.page.goto(format!("http://{address}/")).await?;
        Ok(tab)
    }

    /// Opens an empty tab.
    ///
    /// # Errors
    /// When the browser does not.
    pub async fn blank(&self) -> Result<Page> {
        let mut tab = CreateTargetParams::new("about:blank");
        tab.browser_context_id = Some(self.context.clone());
        Ok(self.shared.browser.new_page(tab).await?)
    }
}

/// Has a page drawn as it is printed: for paper, as wide as A4 between Chromium's margins.
///
/// # Errors
/// When the browser does not.
pub async fn as_printed(page: &Page) -> Result<()> {
    const WIDTH: i64 = 718;
    page.execute(SetDeviceMetricsOverrideParams::new(WIDTH, 1000, 1.0, false)).await?;
    page.execute(SetEmulatedMediaParams::builder().media("print").build()).await?;
    Ok(())
}

impl Drop for Window {
    fn drop(&mut self) {
        let Some(runtime) = &self.shared.runtime else { return };
        let close = self.shared.browser.dispose_browser_context(self.context.clone());
        // Waits, so that the browser ends with its last window: in a thread of its own, for
        // the trial's runtime does not allow to wait.
        thread::scope(|scope| {
            scope.spawn(|| {
                runtime.block_on(async { timeout(Duration::from_secs(5), close).await })
            });
        });
    }
}

/// A page of a lesson.
pub struct Tab {
    /// The page, for what is not covered here.
    pub page: Page,
    /// Console messages, exceptions and requests to other hosts.
    troubles: Arc<std::sync::Mutex<Vec<String>>>,
    /// Whether it has sent [`UPGRADE`].
    upgraded: watch::Sender<bool>,
}

impl Tab {
    async fn watch<E>(
        &self,
        trouble: impl Fn(&E) -> Option<String> + Send + 'static,
    ) -> Result<()>
    where
        E: IntoEventKind + Unpin + Send + Sync + 'static,
    {
        let mut events = self.page.event_listener::<E>().await?;
        let troubles = self.troubles.clone();
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                let mut troubles =
                    troubles.lock().unwrap_or_else(PoisonError::into_inner);
                troubles.extend(trouble(&event));
            }
        });
        Ok(())
    }

    /// Checks that there was no console message, no exception and no request to
    /// another host.
    ///
    /// # Errors
    /// What there was.
    pub fn no_trouble(&self) -> Result<()> {
        let troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        ensure!(troubles.is_empty(), "{troubles:#?}");
        Ok(())
    }

    /// The value of a script.
    ///
    /// # Errors
    /// When it throws, or the page is loading.
    pub async fn evaluate(&self, script: &str) -> Result<Value> {
        let result =
            self.page.evaluate(script).await.with_context(|| script.to_owned())?;
        Ok(result.value().cloned().unwrap_or_default())
    }

    /// Waits until the script's value is true.
    ///
    /// # Errors
    /// When it is not within `limit`; says what the page shows instead.
    pub async fn until(&self, limit: Duration, script: &str) -> Result<()> {
        // The page looks itself: to ask it each time costs both sides more than the look.
        let look = format!(
            "new Promise((seen) => {{
                const look = () => {{
                    let is = false;
                    try {{ is = ({script}); }} catch {{ /* not yet */ }}
                    if (is === true) seen(true); else setTimeout(look, 50);
                }};
                look();
            }})"
        );
        // A page that is left never answers, and while one loads there is nobody to ask.
        let met = async {
            let seen = || async { timeout(LOOK, self.evaluate(&look)).await };
            while !matches!(seen().await, Ok(Ok(Value::Bool(true)))) {
                sleep(Duration::from_millis(50)).await;
            }
        };
        match timeout(limit, met).await {
            Ok(()) => Ok(()),
            Err(_) => {
                let text = self.evaluate("document.body.innerText").await?;
                bail!("not within {limit:?}: {script}\n{text}\n{:#?}", self.troubles)
            }
        }
    }

    /// Waits until the page says that it is connected.
    ///
    /// # Errors
    /// When it does not say so [`SOON`].
    pub async fn is_live(&self) -> Result<()> {
        self.until(SOON, "document.querySelector('#status').dataset.state === 'live'")
            .await
    }

    /// Waits until the new page of `lesson` is connected for good: with Socket.IO, until it
    /// has moved to WebSocket. A loss before that may show with the heartbeat only.
    ///
    /// # Errors
    /// When it is not [`SOON`].
    pub async fn is_connected(&self, lesson: Lesson) -> Result<()> {
        self.is_live().await?;
        if lesson == Lesson::SocketIo {
            let mut upgraded = self.upgraded.subscribe();
            timeout(SOON, upgraded.wait_for(|upgraded| *upgraded))
                .await
                .with_context(|| format!("not on WebSocket within {SOON:?}"))??;
        }
        Ok(())
    }

    /// Waits until the page says that the connection is lost.
    ///
    /// # Errors
    /// When it does not say so within `limit`.
    pub async fn is_lost(&self, limit: Duration) -> Result<()> {
        self.until(limit, "document.querySelector('#status').dataset.state === 'lost'")
            .await
    }

    /// Waits until the page shows `value`.
    ///
    /// # Errors
    /// When it does not show it [`SOON`].
    pub async fn shows(&self, value: i64) -> Result<()> {
        let shown = "document.querySelector('#value').textContent";
        self.until(SOON, &format!("{shown} === '{value}'")).await
    }

    /// Hides the page: behind another tab, or with its window where each tab has its own.
    ///
    /// # Errors
    /// When the browser does not [`SOON`].
    pub async fn hide(&self, browser: &Window) -> Result<()> {
        let other = browser.blank().await?;
        other.bring_to_front().await?;
        let window = GetWindowForTargetParams::default();
        if other.execute(window.clone()).await?.window_id
            != self.page.execute(window).await?.window_id
        {
            self.set_window(WindowState::Minimized).await?;
        }
        self.until(SOON, "document.hidden").await
    }

    /// Shows the hidden page again.
    ///
    /// # Errors
    /// When the browser does not [`SOON`].
    pub async fn show(&self) -> Result<()> {
        self.set_window(WindowState::Normal).await?;
        self.page.bring_to_front().await?;
        self.until(SOON, "!document.hidden").await
    }

    async fn set_window(&self, state: WindowState) -> Result<()> {
        let window = self.page.execute(GetWindowForTargetParams::default()).await?;
        let bounds = Bounds::builder().window_state(state).build();
        let bounds = SetWindowBoundsParams::new(window.window_id, bounds);
        self.page.execute(bounds).await?;
        Ok(())
    }

    /// Freezes the page, as browsers do to hidden tabs and phones to what they do not show,
    /// or lets it live again (W3C, "Page Lifecycle").
    ///
    /// # Errors
    /// When the browser does not.
    pub async fn lives(&self, lives: bool) -> Result<()> {
        let state = if lives {
            SetWebLifecycleStateState::Active
        } else {
            SetWebLifecycleStateState::Frozen
        };
        self.page.execute(SetWebLifecycleStateParams::new(state)).await?;
        Ok(())
    }

    /// Shows the page on a light screen of this size, each of its pixels drawn so large.
    ///
    /// # Errors
    /// When the browser does not.
    pub async fn screen(&self, width: i64, height: i64, scale: f64) -> Result<()> {
        let size = SetDeviceMetricsOverrideParams::new(width, height, scale, false);
        self.page.execute(size).await?;
        let light =
            MediaFeature { name: "prefers-color-scheme".into(), value: "light".into() };
        self.page.emulate_media_features(vec![light]).await?;
        Ok(())
    }

    /// What the screen shows, as PNG.
    ///
    /// # Errors
    /// When the browser does not draw it.
    pub async fn picture(&self) -> Result<Vec<u8>> {
        let png = ScreenshotParams::builder().format(CaptureScreenshotFormat::Png);
        Ok(self.page.screenshot(png.build()).await?)
    }

    /// Clicks on the element with this id.
    ///
    /// # Errors
    /// When there is none.
    pub async fn click(&self, id: &str) -> Result<()> {
        self.page.find_element(format!("#{id}")).await?.click().await?;
        Ok(())
    }
}
