import cf from 'cloudfront';

// Which origin a request goes to. It stays with the function api, which polls and all of the HTTPS
// interface are for, unless it is for the WebSocket API. distribution.tf fills in the two values.
const WEBSOCKET = '${websocket}'; // the id of the other origin
const STAGE = '${stage}'; // the path of the WebSocket API, which has no other

// A Socket.IO client says which transport it uses, and any other that it wants a WebSocket, by its
// headers. A handshake always has this one (RFC 6455); CloudFront hides Upgrade from functions.
function isForWebSockets(request) {
  const transport = request.querystring.transport;
  if (transport && transport.value) return transport.value === 'websocket';
  return 'sec-websocket-key' in request.headers;
}

function handler(event) {
  const request = event.request;
  if (isForWebSockets(request)) {
    cf.selectRequestOriginById(WEBSOCKET);
    request.uri = STAGE;
  }
  return request;
}
