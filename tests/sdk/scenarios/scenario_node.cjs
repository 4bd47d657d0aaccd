// @azure/identity and @azure/arm-resources on Node: groups, pages, operations, a resource by id.
// CommonJS, because NODE_PATH shows the packages; LANDBRIDGE_ADMIN and NODE_EXTRA_CA_CERTS as elsewhere.
"use strict";

const assert = require("node:assert/strict");
const { readFileSync } = require("node:fs");
const { test } = require("node:test");
const { ClientSecretCredential } = require("@azure/identity");
const { ResourceManagementClient } = require("@azure/arm-resources");

const admin = JSON.parse(readFileSync(process.env.LANDBRIDGE_ADMIN, "utf8"));
const url = admin.resourceManager.replace(/\/$/, "");
const audience = `${url}/.default`;
const subscription = `/subscriptions/${admin.subscriptionId}`;
const version = "2024-07-10";
const machine = { location: "local", properties: { locationData: { name: "Redmond" } } };

function signIn(secret = admin.clientSecret) {
  const options = { authorityHost: url, disableInstanceDiscovery: true };
  return new ClientSecretCredential(admin.tenantId, admin.clientId, secret, options);
}

const client = new ResourceManagementClient(signIn(), admin.subscriptionId, {
  endpoint: url,
  credentialScopes: [audience],
});
let number = 0;

async function inGroup(scenario) {
  const name = `node-${process.pid}-${(number += 1)}`;
  await client.resourceGroups.createOrUpdate(name, { location: "local" });
  try {
    await scenario(name, `${subscription}/resourceGroups/${name}`);
  } finally {
    await client.resourceGroups.beginDeleteAndWait(name, { updateIntervalInMs: 500 });
  }
}

async function all(pages) {
  const found = [];
  for await (const one of pages) found.push(one);
  return found;
}

test("a secret gives a token, and a wrong one is refused in words", async () => {
  const found = await signIn().getToken(audience);
  assert.ok(found.token && found.expiresOnTimestamp > Date.now());
  await assert.rejects(signIn("wrong").getToken(audience), (error) => {
    assert.match(error.name, /^Authentication/);
    assert.match(error.message, /AADSTS7000215/);
    return true;
  });
});

test("a group is made, updated, shown and deleted", async () => {
  const groups = client.resourceGroups;
  const name = `node-${process.pid}-life`;
  const made = await groups.createOrUpdate(name, { location: "local", tags: { stage: "one" } });
  assert.equal(made.properties.provisioningState, "Succeeded");
  assert.deepEqual((await groups.update(name, { tags: { stage: "two" } })).tags, { stage: "two" });
  assert.deepEqual((await groups.get(name.toUpperCase())).tags, { stage: "two" });
  assert.equal((await groups.checkExistence(name)).body, true);
  const poller = await groups.beginDelete(name, { updateIntervalInMs: 500 });
  await poller.pollUntilDone();
  assert.equal(poller.getOperationState().status, "succeeded");
  assert.equal((await groups.checkExistence(name)).body, false);
});

test("groups are listed page by page", async () => {
  const names = [0, 1, 2].map((one) => `node-${process.pid}-page-${one}`);
  const groups = client.resourceGroups;
  await Promise.all(names.map((name) => groups.createOrUpdate(name, { location: "local" })));
  try {
    const listed = [];
    for await (const page of groups.list({ top: 2 }).byPage()) {
      assert.ok(page.length <= 2);
      listed.push(...page.map((one) => one.name));
    }
    assert.deepEqual(names.filter((name) => !listed.includes(name)), []);
    assert.equal(new Set(listed).size, listed.length);
  } finally {
    await Promise.all(names.map((name) => groups.beginDeleteAndWait(name, { updateIntervalInMs: 500 })));
  }
});

test("a resource by id is made, patched, listed and deleted", async () => {
  await inGroup(async (name, group) => {
    const id = `${group}/providers/Microsoft.HybridCompute/machines/web1`;
    const made = await client.resources.beginCreateOrUpdateByIdAndWait(id, version, machine);
    assert.equal(made.id, id);
    assert.equal(made.properties.provisioningState, "Succeeded");
    const patched = await client.resources.beginUpdateByIdAndWait(id, version, { tags: { a: "b" } });
    assert.deepEqual(patched.tags, { a: "b" });
    assert.equal((await client.resources.checkExistenceById(id, version)).body, true);
    const listed = await all(client.resources.listByResourceGroup(name, { top: 1 }));
    assert.deepEqual(listed.map((one) => one.id), [id]);
    await client.resources.beginDeleteByIdAndWait(id, version);
    assert.equal((await client.resources.checkExistenceById(id, version)).body, false);
  });
});

test("a group goes with all that is in it", async () => {
  await inGroup(async (name, group) => {
    const id = `${group}/providers/Microsoft.HybridCompute/machines/web1`;
    await client.resources.beginCreateOrUpdateByIdAndWait(id, version, machine);
    await client.resourceGroups.beginDeleteAndWait(name, { updateIntervalInMs: 500 });
    assert.equal((await client.resourceGroups.checkExistence(name)).body, false);
    await client.resourceGroups.createOrUpdate(name, { location: "local" });
    assert.deepEqual(await all(client.resources.listByResourceGroup(name)), []);
  });
});

test("tags of a scope, and the providers", async () => {
  await inGroup(async (name, group) => {
    const tags = client.tagsOperations;
    const scope = group.slice(1);
    const write = tags.beginCreateOrUpdateAtScopeAndWait ?? tags.createOrUpdateAtScope;
    await write.call(tags, scope, { properties: { tags: { a: "1" } } });
    assert.deepEqual((await tags.getAtScope(scope)).properties.tags, { a: "1" });
    const namespaces = (await all(client.providers.list())).map((one) => one.namespace);
    assert.ok(namespaces.includes("Microsoft.HybridCompute"));
  });
});

test("errors carry status and code", async () => {
  await assert.rejects(client.resourceGroups.get("nowhere"), (error) => {
    assert.equal(error.name, "RestError");
    assert.deepEqual([error.statusCode, error.code], [404, "ResourceGroupNotFound"]);
    return true;
  });
  await assert.rejects(client.resourceGroups.createOrUpdate("far", { location: "the-moon" }), (error) => {
    assert.deepEqual([error.statusCode, error.code], [400, "LocationNotAvailableForResourceType"]);
    return true;
  });
});
