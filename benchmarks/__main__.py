"""`make bench`: every figure, one after the other. Figures, not assertions: this machine's, at this moment."""

from __future__ import annotations

from benchmarks import accept, lists, outbound, smpp_session, webhooks


def main() -> None:
    """Run all of them."""
    print("SMPP session alone, two processes, window 100")
    smpp_session.main()
    print("\nAccepting, each call durable before its answer")
    accept.run()
    print("\nSending over SMPP")
    outbound.run()
    print("\nFrom the request to the customer's endpoint")
    webhooks.run()
    print("\nPages of lists, with a million messages")
    lists.run()


if __name__ == "__main__":
    main()
