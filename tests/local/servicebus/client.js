// The scenarios of Microsoft's JavaScript client, all at once. Reads {connectionString, packages} from stdin; prints, for
// each scenario, what it observed.
const { connectionString, packages } = JSON.parse(require("fs").readFileSync(0, "utf8"));
const { ServiceBusClient } = require(`${packages}/@azure/service-bus`);
const Long = require(`${packages}/long`);

const options = { retryOptions: { maxRetries: 0, timeoutInMs: 20_000 } };
const client = new ServiceBusClient(connectionString, options);
const receiveOne = async (receiver) => (await receiver.receiveMessages(1, { maxWaitTimeInMs: 10_000 }))[0];
const send = async (queue, messages) => {
  const sender = client.createSender(queue);
  // Without ids, the client fails to stop renewing the locks when it closes.
  await sender.sendMessages([messages].flat().map((message, number) => ({ messageId: `${number}`, ...message })));
  await sender.close();
};

const scenarios = {
  async send() {
    const properties = { text: "é", number: 7, real: 1.5, yes: true, none: null, at: new Date(0) };
    await send("js-send", { body: { a: [1, "x"] }, messageId: "m", subject: "s", correlationId: "c", applicationProperties: properties });
    const receiver = client.createReceiver("js-send");
    const message = await receiveOne(receiver);
    await receiver.completeMessage(message);
    const { body, messageId, subject, correlationId, applicationProperties } = message;
    return { body, messageId, subject, correlationId, applicationProperties };
  },
  async batch() {
    const sender = client.createSender("js-batch");
    const batch = await sender.createMessageBatch();
    for (let number = 0; number < 50; number++) batch.tryAddMessage({ body: number });
    await sender.sendMessages(batch);
    const receiver = client.createReceiver("js-batch", { receiveMode: "receiveAndDelete" });
    const bodies = [];
    while (bodies.length < 50) bodies.push(...(await receiver.receiveMessages(50, { maxWaitTimeInMs: 10_000 })).map((one) => one.body));
    return bodies;
  },
  async schedule() {
    const sender = client.createSender("js-schedule");
    const due = new Date(Date.now() + 3_600_000);
    const numbers = await sender.scheduleMessages([{ body: "stays" }, { body: "goes" }], due);
    await sender.cancelScheduledMessages([numbers[1]]);
    const left = await client.createReceiver("js-schedule").peekMessages(10, { fromSequenceNumber: Long.ONE });
    return left.map((one) => [one.body, one.state, one.scheduledEnqueueTimeUtc?.getTime() === due.getTime()]);
  },
  async abandon() {
    await send("js-abandon", { body: "x", applicationProperties: { kept: 1, changed: "before" } });
    const receiver = client.createReceiver("js-abandon");
    await receiver.abandonMessage(await receiveOne(receiver), { changed: "after", added: true });
    const again = await receiveOne(receiver);
    await receiver.completeMessage(again);
    return { ...again.applicationProperties, deliveryCount: again.deliveryCount };
  },
  async defer() {
    await send("js-defer", { body: "x" });
    const receiver = client.createReceiver("js-defer");
    const message = await receiveOne(receiver);
    await receiver.deferMessage(message, { why: "later" });
    const [deferred] = await receiver.receiveDeferredMessages([message.sequenceNumber]);
    await receiver.completeMessage(deferred);
    return [deferred.body, deferred.applicationProperties];
  },
  async deadLetter() {
    await send("js-dead", { body: "x", applicationProperties: { kept: 1 } });
    const receiver = client.createReceiver("js-dead");
    const reasons = { deadLetterReason: "why", deadLetterErrorDescription: "because", step: 3 };
    await receiver.deadLetterMessage(await receiveOne(receiver), reasons);
    const dead = client.createReceiver("js-dead", { subQueueType: "deadLetter" });
    const message = await receiveOne(dead);
    await dead.completeMessage(message);
    const { deadLetterReason, deadLetterErrorDescription, deadLetterSource, applicationProperties } = message;
    return { deadLetterReason, deadLetterErrorDescription, deadLetterSource, ...applicationProperties };
  },
  async deferredDeadLetter() {
    // A deferred message is settled by a request to $management, and not on its link.
    await send("js-dead-deferred", { body: "x" });
    const receiver = client.createReceiver("js-dead-deferred");
    const message = await receiveOne(receiver);
    await receiver.deferMessage(message);
    const [deferred] = await receiver.receiveDeferredMessages([message.sequenceNumber]);
    await receiver.deadLetterMessage(deferred, { deadLetterReason: "why", step: 4 });
    const dead = client.createReceiver("js-dead-deferred", { subQueueType: "deadLetter" });
    const last = await receiveOne(dead);
    await dead.completeMessage(last);
    return [last.deadLetterReason, last.applicationProperties.step];
  },
  async lock() {
    await send("js-lock", { body: "x" });
    const receiver = client.createReceiver("js-lock");
    const message = await receiveOne(receiver);
    const until = message.lockedUntilUtc.getTime();
    await new Promise((resolve) => setTimeout(resolve, 5));
    const renewed = await receiver.renewMessageLock(message);
    await receiver.completeMessage(message);
    return renewed.getTime() > until;
  },
  async peek() {
    await send("js-peek", [{ body: "a" }, { body: "b" }, { body: "c" }]);
    const receiver = client.createReceiver("js-peek");
    const [first] = await receiver.peekMessages(1);
    return [first.body, (await receiver.peekMessages(5)).map((one) => one.body)];
  },
  async session() {
    await send("js-sessions", [1, 2, 3].map((body) => ({ body, sessionId: "S" })));
    const receiver = await client.acceptSession("js-sessions", "S");
    const until = receiver.sessionLockedUntilUtc.getTime();
    const messages = await receiver.receiveMessages(3, { maxWaitTimeInMs: 10_000 });
    await receiver.setSessionState({ step: 2 });
    const state = await receiver.getSessionState();
    const renewed = (await receiver.renewSessionLock()).getTime() >= until;
    const refused = await client.acceptSession("js-sessions", "S").catch((error) => error.code);
    for (const message of messages) await receiver.completeMessage(message);
    await receiver.close();
    return { bodies: messages.map((one) => one.body), state, renewed, refused };
  },
  async nextSession() {
    const waiting = client.acceptNextSession("js-next");
    await send("js-next", { body: "x", sessionId: "N" });
    const receiver = await waiting;
    const message = await receiveOne(receiver);
    await receiver.completeMessage(message);
    await receiver.close();
    return [receiver.sessionId, message.body];
  },
  async unknownQueue() {
    return await client.createReceiver("nowhere").peekMessages(1).catch((error) => error.code);
  },
};

const entries = Object.entries(scenarios).map(async ([name, run]) => [name, await run().catch((error) => `${error}`)]);
Promise.all(entries).then(async (observed) => {
  process.stdout.write(JSON.stringify(Object.fromEntries(observed)));
  await client.close();
});
