// An SMSC made of npm `smpp`. Prints its port; answers each submit_sm with its text as message_id, and delivers
// a receipt and then, for the text "mo", a message. Refuses the password "wrong".
'use strict';
const smpp = require('smpp');

const server = smpp.createServer((session) => {
  session.on('error', () => {});
  const bind = (pdu) => {
    const refused = pdu.password === 'wrong';
    session.send(pdu.response({
      command_status: refused ? smpp.ESME_RINVPASWD : smpp.ESME_ROK,
      system_id: 'node',
    }));
  };
  session.on('bind_transceiver', bind);
  session.on('bind_transmitter', bind);
  session.on('bind_receiver', bind);
  session.on('enquire_link', (pdu) => session.send(pdu.response()));
  session.on('unbind', (pdu) => session.send(pdu.response(), () => session.close()));
  session.on('submit_sm', (pdu) => {
    const text = pdu.short_message.message;
    session.send(pdu.response({ message_id: text }));
    if (pdu.registered_delivery) {
      session.deliver_sm({
        source_addr: pdu.destination_addr,
        destination_addr: pdu.source_addr,
        esm_class: smpp.ESM_CLASS.MC_DELIVERY_RECEIPT,
        short_message: `id:${text} sub:001 dlvrd:001 submit date:2611210930 done date:2611210931 stat:DELIVRD err:000 text:`,
        receipted_message_id: text,
        message_state: 2,
      });
    }
    if (text === 'mo') {
      session.deliver_sm({
        source_addr: pdu.destination_addr,
        destination_addr: pdu.source_addr,
        data_coding: 8,
        message_payload: 'δοκιμή',
      });
    }
  });
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
