// Loaded by MLflow's page before its own scripts. Nothing is sent anywhere and nothing of MLflow's is replaced.
(function () {
  "use strict";

  // The Stage menu stands where MLflow's toggle "New model registry UI" is off. Once per browser: whoever turns the
  // toggle on afterwards keeps it on.
  try {
    if (localStorage.getItem("governance_stages_shown") === null) {
      localStorage.setItem("_mlflow_user_setting_dismiss_next_model_registry_ui", "true");
      localStorage.setItem("governance_stages_shown", "true");
      // MLflow advertises that toggle over the list of models, and one click there hides the stages.
      localStorage.setItem("_mlflow_model_registry_promo_modal_dismissed_v1", "true");
      // MLflow's assistant opens by itself over the page; this server refuses what it would do.
      localStorage.setItem("mlflow.assistant.fab.autoOpenedOnFirstLoad_v1", "true");
    }
  } catch (error) {
    // A browser that keeps nothing shows MLflow's own choice.
  }

  // On the page of a model or a version: a link to what a reviewer needs, also where the description has none.
  var here = document.currentScript ? document.currentScript.src.replace(/mlflow-ui\.js.*$/, "") : "governance/";
  var link = document.createElement("a");
  link.id = "governance-link";
  link.style.cssText =
    "position:fixed;left:50%;transform:translateX(-50%);bottom:20px;z-index:900;padding:8px 14px;border-radius:18px;background:#0b4fd0;" +
    "color:#fff;font:600 14px system-ui,sans-serif;text-decoration:none;box-shadow:0 1px 4px rgba(0,0,0,.4)";

  function follow() {
    var version = /^#\/models\/([^/?]+)\/versions\/(\d+)/.exec(location.hash);
    var models = /^#\/models(\/|\?|$)/.test(location.hash);
    link.hidden = !models;
    link.style.display = models ? "block" : "none";
    link.textContent = version ? "Review this version" : "Waiting for review";
    link.href = version ? here + "version?name=" + version[1] + "&version=" + version[2] : here;
  }

  // A refusal quotes what people wrote: a word without end would push the rest out of MLflow's message.
  var wrapped = document.createElement("style");
  wrapped.textContent = "[class*=notification-notice] { overflow-wrap: anywhere; }";

  function begin() {
    document.head.appendChild(wrapped);
    document.body.appendChild(link);
    follow();
  }
  // The UI moves by history as well as by hash.
  ["pushState", "replaceState"].forEach(function (name) {
    var move = history[name];
    history[name] = function () {
      var result = move.apply(this, arguments);
      follow();
      return result;
    };
  });
  addEventListener("hashchange", follow);
  addEventListener("popstate", follow);
  if (document.body) begin();
  else addEventListener("DOMContentLoaded", begin);
})();
