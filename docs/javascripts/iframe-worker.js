// Browsers start no worker of a page that is opened from disk; the search then works in a frame that nobody sees.
class IFrameWorker extends EventTarget {
  constructor(url) {
    super();
    const frame = document.createElement("iframe");
    frame.hidden = true;
    document.body.append(frame);
    this.frame = frame.contentWindow;
    addEventListener("message", (event) => {
      if (event.source !== this.frame) return;
      this.dispatchEvent(new MessageEvent("message", { data: event.data }));
      if (this.onmessage) this.onmessage(event);
    });
    const inside = this.frame.document;
    inside.open();
    inside.write(`<!doctype html><body><script>
      postMessage = (data) => parent.postMessage(data, "*");
      importScripts = (...urls) => urls.reduce((before, url) => before.then(() => new Promise((done) => {
        const script = document.createElement("script");
        script.src = url;
        script.onload = done;
        document.body.append(script);
      })), Promise.resolve());
    </` + `script></body>`);
    inside.close();
    this.ready = new Promise((done) => {
      const script = inside.createElement("script");
      script.src = url;
      script.onload = done;
      inside.body.append(script);
    });
  }

  postMessage(data) {
    this.ready = this.ready.then(() => this.frame.dispatchEvent(new MessageEvent("message", { data })));
  }

  terminate() {}
}

if (location.protocol === "file:") window.Worker = IFrameWorker;
