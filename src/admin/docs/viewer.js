// Shows /openapi.json: operations by tag, their schemas and examples, and a form to send each.
"use strict";

let document_;

/** An element with attributes and children; text is never read as markup. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** What a `$ref` names, or the thing itself. */
function resolved(thing) {
  if (!thing || !thing.$ref) return thing ?? {};
  const found = thing.$ref.slice(2).split("/").reduce((at, name) => at?.[name], document_);
  return { ...found, title: thing.$ref.split("/").pop() };
}

/** A schema with its parts put together. */
function whole(schema) {
  const { allOf, ...own } = resolved(schema);
  if (!allOf) return own;
  return allOf.map(whole).reduce((all, part) => ({
    ...part,
    ...all,
    properties: { ...all.properties, ...part.properties },
    required: [...(all.required ?? []), ...(part.required ?? [])],
  }), own);
}

/** A schema as a line of text. */
function kind(schema) {
  const { type, title, items, oneOf, anyOf, enum: values, pattern, minimum, maximum } = whole(schema);
  const alternatives = oneOf ?? anyOf;
  if (alternatives) return alternatives.map(kind).join(" | ");
  const types = [type ?? title ?? "anything"].flat().map((name) => (name === "array" ? `list of ${kind(items)}` : name));
  const bounds = [values && `one of ${values.join(", ")}`, pattern, minimum !== undefined && `≥ ${minimum}`, maximum !== undefined && `≤ ${maximum}`];
  return [types.join(" | "), ...bounds.filter(Boolean)].join(", ");
}

/** A value that the schema describes. */
function example(schema, depth = 0) {
  const { type, items, oneOf, anyOf, properties, enum: values, minimum, default: usual, ...rest } = whole(schema);
  const given = rest.example ?? rest.examples?.[0] ?? usual ?? values?.[0];
  if (given !== undefined) return given;
  if (depth > 6) return null;
  const alternatives = oneOf ?? anyOf;
  if (alternatives) return example(alternatives.find((one) => one.type !== "null"), depth + 1);
  switch ([type].flat().find((name) => name !== "null")) {
    case "object":
      return Object.fromEntries(Object.entries(properties ?? {}).map(([name, property]) => [name, example(property, depth + 1)]));
    case "array":
      return [example(items, depth + 1)];
    case "integer":
    case "number":
      return minimum ?? 0;
    case "boolean":
      return false;
    case "string":
      return rest.pattern?.includes("{32}") ? "0".repeat(32) : "…";
    default:
      return properties ? example({ type: "object", properties }, depth + 1) : {};
  }
}

function table(heads, rows) {
  const line = (tag, cells) => element("tr", {}, ...cells.map((cell) => element(tag, {}, cell)));
  return element("table", {}, element("thead", {}, line("th", heads)), element("tbody", {}, ...rows.map((row) => line("td", row))));
}

/** The fields of a schema, nested ones by their path. */
function fields(schema, prefix = "", depth = 0) {
  const { properties, required, items, type } = whole(schema);
  if (type === "array" && items) return fields(items, `${prefix}[]`, depth + 1);
  if (!properties || depth > 5) return [];
  return Object.entries(properties).flatMap(([name, property]) => {
    const path = prefix ? `${prefix}.${name}` : name;
    const said = resolved(property).description ?? property.description ?? "";
    const shown = [element("code", {}, path), kind(property) + (required?.includes(name) ? "" : ", optional"), said];
    return [shown, ...fields(property, path, depth + 1)];
  });
}

function schema_of(content) {
  const [type, { schema } = {}] = Object.entries(content ?? {})[0] ?? [];
  if (!type) return [];
  const rows = schema ? fields(schema) : [];
  const made = [element("p", {}, element("code", {}, type))];
  if (rows.length) made.push(table(["field", "type", ""], rows));
  if (rows.length && type.includes("json")) {
    made.push(element("details", {}, element("summary", {}, "example"), element("pre", {}, JSON.stringify(example(schema), null, 2))));
  }
  return made;
}

function form_encoded(values) {
  return new URLSearchParams(Object.entries(values).filter(([, value]) => value !== "" && value !== null)).toString();
}

/** The form that sends an operation and shows its answer. */
function trial(method, path, operation, body) {
  const inputs = (operation.parameters ?? []).map(resolved).map((parameter) => {
    const input = element("input", { placeholder: kind(parameter.schema) });
    return { parameter, input, label: element("label", {}, `${parameter.name} (${parameter.in}) `, input) };
  });
  const [type, media] = Object.entries(body?.content ?? {})[0] ?? [];
  const starting = type && example(media.schema);
  const text = type && element("textarea", { rows: 8, spellcheck: "false" });
  if (text) text.value = type.includes("json") ? JSON.stringify(starting, null, 2) : form_encoded(starting);
  const shown = element("pre", { class: "hidden" });
  const send = element("button", { type: "button" }, "Send");
  send.addEventListener("click", async () => {
    let to = path;
    const query = new URLSearchParams();
    const headers = new Headers();
    for (const { parameter, input } of inputs) {
      if (parameter.in === "path") to = to.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
      else if (!input.value) continue;
      else if (parameter.in === "query") query.append(parameter.name, input.value);
      else if (parameter.in === "header") headers.append(parameter.name, input.value);
    }
    const given = (id) => document.getElementById(id).value;
    const schemes = (operation.security ?? []).flatMap(Object.keys);
    const takes = (scheme) => schemes.some((name) => document_.components.securitySchemes[name]?.scheme === scheme);
    if (takes("basic") && given("name")) {
      const bytes = new TextEncoder().encode(`${given("name")}:${given("password")}`);
      headers.set("Authorization", `Basic ${btoa(String.fromCharCode(...bytes))}`);
    } else if (takes("bearer") && given("bearer")) {
      headers.set("Authorization", `Bearer ${given("bearer")}`);
    }
    const carries = text && text.value.trim() && method !== "get";
    if (carries) headers.set("Content-Type", type);
    shown.classList.remove("hidden");
    try {
      const search = query.size ? `?${query}` : "";
      const options = { method: method.toUpperCase(), headers, body: carries ? text.value : undefined, redirect: "manual", credentials: "omit" };
      const reply = await fetch(to + search, options);
      const said = await reply.text();
      const pretty = reply.headers.get("content-type")?.includes("json") ? JSON.stringify(JSON.parse(said), null, 2) : said;
      const lines = [...reply.headers].map(([name, value]) => `${name}: ${value}`);
      shown.textContent = [`${reply.status} ${reply.statusText}`, ...lines, "", pretty].join("\n");
    } catch (error) {
      shown.textContent = String(error);
    }
  });
  return element("div", {}, ...inputs.map(({ label }) => element("p", {}, label)), ...(text ? [text] : []), element("p", {}, send), shown);
}

function shown(path, method, operation) {
  const summary = element(
    "summary", {},
    element("span", { class: "method" }, method), element("code", { class: "path" }, path), operation.summary ?? "",
  );
  const made = element("details", { class: "operation", id: operation.operationId }, summary);
  made.dataset.words = [method, path, operation.summary, operation.description].join(" ").toLowerCase();
  // made when it is opened
  made.addEventListener("toggle", () => {
    if (!made.open || made.childElementCount > 1) return;
    if (operation.description) made.append(element("p", {}, operation.description));
    const schemes = (operation.security ?? []).map((one) => Object.keys(one).join(" + ") || "nothing");
    if (schemes.length) made.append(element("p", {}, `Credentials: ${schemes.join(", or ")}`));
    const parameters = (operation.parameters ?? []).map(resolved);
    if (parameters.length) {
      const rows = parameters.map(({ name, in: where, required, schema, description }) =>
        [element("code", {}, name), where, kind(schema) + (required ? "" : ", optional"), description ?? ""]);
      made.append(element("h4", {}, "Parameters"), table(["name", "in", "type", ""], rows));
    }
    const body = operation.requestBody && resolved(operation.requestBody);
    if (body) made.append(element("h4", {}, body.required ? "Body" : "Body, optional"), ...schema_of(body.content));
    made.append(element("h4", {}, "Answers"));
    for (const [status, response] of Object.entries(operation.responses)) {
      const { description, content, headers } = resolved(response);
      const inside = element("details", {}, element("summary", {}, element("code", {}, status), ` ${description ?? ""}`), ...schema_of(content));
      const rows = Object.entries(headers ?? {}).map(([name, header]) => [element("code", {}, name), resolved(header).description ?? ""]);
      if (rows.length) inside.append(table(["header", ""], rows));
      made.append(inside);
    }
    made.append(element("h4", {}, "Try it"), trial(method, path, operation, body));
  });
  return made;
}

function find() {
  const words = document.getElementById("find").value.toLowerCase().split(/\s+/);
  for (const operation of document.querySelectorAll("details.operation")) {
    operation.classList.toggle("hidden", !words.every((word) => operation.dataset.words.includes(word)));
  }
  for (const section of document.querySelectorAll("section")) {
    section.classList.toggle("hidden", !section.querySelector("details.operation:not(.hidden)"));
  }
}

async function start() {
  const main = document.getElementById("operations");
  document_ = await (await fetch("/openapi.json")).json();
  document.getElementById("version").textContent = document_.info.version;
  document.getElementById("about").textContent = document_.info.description ?? "";
  const methods = ["get", "put", "post", "patch", "delete"];
  const all = Object.entries(document_.paths).flatMap(([path, item]) =>
    methods.filter((method) => item[method]).map((method) => [path, method, item[method]]));
  main.replaceChildren(...document_.tags.map(({ name, description }) => {
    const operations = all.filter(([, , operation]) => operation.tags?.includes(name)).map((one) => shown(...one));
    return element("section", {}, element("h2", {}, name), element("p", {}, description ?? ""), ...operations);
  }));
  document.getElementById("find").addEventListener("input", find);
  const named = location.hash && document.getElementById(location.hash.slice(1));
  if (named) named.open = true;
}

start().catch((error) => {
  document.getElementById("operations").textContent = `The document cannot be read: ${error}`;
});
