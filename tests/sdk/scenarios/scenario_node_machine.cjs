// @azure/identity on Node signs in as the machine it runs on. CommonJS, because NODE_PATH shows the
// packages; LANDBRIDGE_ADMIN, LANDBRIDGE_MACHINE and NODE_EXTRA_CA_CERTS as elsewhere.
"use strict";

const assert = require("node:assert/strict");
const { readFileSync } = require("node:fs");
const { test } = require("node:test");
const { DefaultAzureCredential, ManagedIdentityCredential } = require("@azure/identity");
const { ResourceManagementClient } = require("@azure/arm-resources");

const admin = JSON.parse(readFileSync(process.env.LANDBRIDGE_ADMIN, "utf8"));
const url = admin.resourceManager.replace(/\/$/, "");
const audience = `${url}/.default`;

function claims(token) {
  return JSON.parse(Buffer.from(token.split(".")[1], "base64url").toString());
}

async function check(credential) {
  const found = await credential.getToken(audience);
  const said = claims(found.token);
  assert.equal(said.xms_mirid.toLowerCase(), process.env.LANDBRIDGE_MACHINE.toLowerCase());
  assert.equal(said.idtyp, "app");
  assert.ok(found.expiresOnTimestamp > Date.now() + 3600 * 1000);
}

test("the managed identity is the machine", () => check(new ManagedIdentityCredential()));

test("the default credential finds the machine", () => check(new DefaultAzureCredential()));

test("the resource manager takes the token", async () => {
  const client = new ResourceManagementClient(new ManagedIdentityCredential(), admin.subscriptionId, {
    endpoint: url,
    credentialScopes: [audience],
  });
  const names = [];
  for await (const group of client.resourceGroups.list()) names.push(group.name);
  assert.deepEqual(names, ["servers"]);
});
