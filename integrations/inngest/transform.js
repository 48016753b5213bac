// Leaves the webhook as it is. The card makes an event of it: its type becomes the name.
function handler(webhook) {
  return webhook;
}
