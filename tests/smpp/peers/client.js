// An ESME made of npm `smpp`. node client.js PORT PASSWORD TEXT: binds, submits TEXT asking for a receipt, waits for it,
// asks enquire_link, unbinds, and prints what it saw as one JSON object.
'use strict';
const smpp = require('smpp');

const [port, password, text] = process.argv.slice(2);
const seen = {};
const finish = () => {
  console.log(JSON.stringify(seen));
  process.exit(0);
};
const session = smpp.connect({ host: '127.0.0.1', port: Number(port) }, () => {
  session.bind_transceiver({ system_id: 'esme', password }, (bound) => {
    seen.bind = bound.command_status;
    if (bound.command_status !== 0) {
      finish();
      return;
    }
    seen.system_id = bound.system_id;
    session.submit_sm({
      source_addr: '12025550101',
      destination_addr: '12025550102',
      registered_delivery: 1,
      short_message: text,
    }, (answer) => {
      seen.submit = answer.command_status;
      seen.message_id = answer.message_id;
    });
  });
});
session.on('deliver_sm', (pdu) => {
  seen.receipt = pdu.short_message.message;
  seen.receipted_message_id = pdu.receipted_message_id;
  seen.message_state = pdu.message_state;
  session.send(pdu.response());
  session.enquire_link((alive) => {
    seen.enquire_link = alive.command_status;
    session.unbind((unbound) => {
      seen.unbind = unbound.command_status;
      session.on('close', finish);
    });
  });
});
session.on('error', (error) => {
  seen.error = String(error);
  finish();
});
