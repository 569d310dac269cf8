// Starts Swagger's page. Requests tried out there use the session of this page and its CSRF token.

const place = document.getElementById("api-docs");
const token = document.querySelector('meta[name="csrf-token"]').content;
const nothing = () => null;

// Swagger's own <main> would stand within the portal's, and its little buttons within buttons.
const plain = () => ({ components: { authorizeOperationBtn: nothing, CopyToClipboardBtn: nothing } });

window.SwaggerUIBundle({
  domNode: place,
  url: place.dataset.schema,
  docExpansion: "list",
  validatorUrl: null, // no description leaves the portal
  presets: [window.SwaggerUIBundle.presets.apis],
  plugins: [plain],
  requestInterceptor: (request) => {
    request.headers["X-CSRFToken"] = token;
    return request;
  },
});
