"use strict";

// Shows the document that the page names, addressed to the server that the page came from, so that
// "Try it out" scores here, whatever host, scheme or path the document gives for other clients.

(function () {
  const place = document.getElementById("swagger-ui");
  const root = location.pathname.replace(/\/docs\/?$/, "");

  function withoutPrefix(path) {
    const prefix = "/" + place.dataset.prefix;
    return prefix !== "/" && path.startsWith(prefix + "/") ? path.slice(prefix.length) : path;
  }

  function addressedHere(description) {
    const here = { ...description, paths: {} };
    for (const [path, item] of Object.entries(description.paths || {})) {
      const { servers, ...kept } = item;
      for (const operation of Object.values(kept)) {
        if (operation && typeof operation === "object") {
          delete operation.servers;
          delete operation.schemes;
        }
      }
      here.paths[withoutPrefix(path)] = kept;
    }
    if (here.swagger) {
      here.host = location.host;
      here.schemes = [location.protocol.slice(0, -1)];
      here.basePath = root || "/";
    } else {
      here.servers = [{ url: location.origin + root, description: "This server" }];
    }
    return here;
  }

  function show(description) {
    window.ui = SwaggerUIBundle({
      spec: addressedHere(description),
      domNode: place,
      deepLinking: true,
      defaultModelsExpandDepth: 0,
      displayRequestDuration: true,
      layout: "BaseLayout",
      presets: [SwaggerUIBundle.presets.apis],
      queryConfigEnabled: false,
      tryItOutEnabled: true,
      validatorUrl: null, // the default sends the document to another host
    });
  }

  function complain(error) {
    const notice = document.getElementById("problem");
    notice.textContent = "The API description could not be shown. " + error.message;
    notice.hidden = false;
  }

  async function load() {
    const response = await fetch(place.dataset.document);
    if (!response.ok) {
      throw new Error("The server responded with status " + response.status + ": " + (await response.text()));
    }
    show(await response.json());
  }

  const dark = matchMedia("(prefers-color-scheme: dark)");
  const followTheme = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
  dark.addEventListener("change", followTheme);
  followTheme();
  load().catch(complain);
})();
