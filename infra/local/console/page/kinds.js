// The kinds of remote calls, by which the bars of a trace are coloured.

const KINDS = [
  ["frame", "Frame, request, task or look", ["integration.", "front.", "task.", "job."]],
  ["write", "Commit", ["firestore.Commit"]],
  ["read", "Read of Firestore", ["firestore."]],
  ["post", "Post to a socket", ["connections."]],
  ["publish", "Publish", ["pubsub."]],
  ["delivery", "Delivery to a function", ["delivery."]],
  ["push", "Push by FCM", ["fcm."]],
  ["webhook", "Webhook", ["webhook."]],
  ["timer", "Task that is scheduled", ["cloudtasks."]],
  ["other", "Other", [""]],
];

/** Of a remote call's name, e.g. `firestore.Commit`, its kind: a name for style sheets, and one to read. */
export function kindOf(call) {
  const [name, label] = KINDS.find(([, , begins]) => begins.some((each) => call.startsWith(each)));
  return { name, label };
}

/** The kinds that these calls are of, in the order in which a legend has them. */
export function kindsOf(calls) {
  const found = new Map(calls.map(kindOf).map((kind) => [kind.name, kind]));
  return KINDS.filter(([name]) => found.has(name)).map(([name]) => found.get(name));
}
