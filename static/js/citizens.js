/* Pages for people without an account: the proof of work of a form, the code behind the #, printing.
   Written for old browsers too; without it everything works, only slower. */
(function () {
  "use strict";

  var K = [];
  var START = [];
  (function constants() {
    var candidate = 2;
    while (K.length < 64) {
      var prime = true;
      for (var factor = 2; factor * factor <= candidate; factor += 1) {
        if (candidate % factor === 0) { prime = false; break; }
      }
      if (prime) {
        if (START.length < 8) { START.push((Math.pow(candidate, 1 / 2) * 4294967296) | 0); }
        K.push((Math.pow(candidate, 1 / 3) * 4294967296) | 0);
      }
      candidate += 1;
    }
  })();

  var w = new Array(64);

  /* The first 32 bits of SHA-256 of a short text of ASCII signs: one block, at most 55 of them. */
  function firstWord(text) {
    var i;
    for (i = 0; i < 16; i += 1) { w[i] = 0; }
    for (i = 0; i < text.length; i += 1) { w[i >> 2] |= text.charCodeAt(i) << (24 - 8 * (i & 3)); }
    w[text.length >> 2] |= 0x80 << (24 - 8 * (text.length & 3));
    w[15] = text.length * 8;
    for (i = 16; i < 64; i += 1) {
      var x = w[i - 15];
      var y = w[i - 2];
      var s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
      var s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
      w[i] = (w[i - 16] + s0 + w[i - 7] + s1) | 0;
    }
    var a = START[0], b = START[1], c = START[2], d = START[3];
    var e = START[4], f = START[5], g = START[6], h = START[7];
    for (i = 0; i < 64; i += 1) {
      var t1 = (h + (((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7))) +
        ((e & f) ^ (~e & g)) + K[i] + w[i]) | 0;
      var t2 = ((((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10))) +
        ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g; g = f; f = e; e = (d + t1) | 0;
      d = c; c = b; b = a; a = (t1 + t2) | 0;
    }
    return (START[0] + a) >>> 0;
  }

  /* In small portions, so that one can write meanwhile. */
  function prove(form) {
    var nonce = form.getAttribute("data-say-nonce");
    var difficulty = parseInt(form.getAttribute("data-say-difficulty"), 10);
    var field = form.querySelector("[name=proof]");
    var limit = Math.pow(2, 32 - difficulty);
    var number = 0;
    if (!nonce || nonce.length > 40 || !field) { return; }
    function portion() {
      for (var end = number + 2000; number < end; number += 1) {
        if (firstWord(nonce + ":" + number) < limit) { field.value = String(number); return; }
      }
      setTimeout(portion, 0);
    }
    portion();
  }

  function codeBehindTheHash(form) {
    var code = decodeURIComponent(window.location.hash.slice(1));
    var field = form.querySelector("[name=code]");
    if (field && !field.value && /^[A-Za-z0-9-]{16,24}$/.test(code)) {
      field.value = code;
      // The address bar and the history of a shared computer forget it.
      if (window.history.replaceState) { window.history.replaceState(null, "", window.location.pathname); }
    }
  }

  function printing(button) {
    button.hidden = false;
    button.addEventListener("click", function () { window.print(); });
  }

  function every(selector, act) {
    var found = document.querySelectorAll(selector);
    for (var i = 0; i < found.length; i += 1) { act(found[i]); }
  }

  every("[data-say-nonce]", prove);
  every("[data-say-track]", codeBehindTheHash);
  every("[data-say-print]", printing);
})();
