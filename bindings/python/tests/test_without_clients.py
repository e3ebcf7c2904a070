"""The adapters for HTTP clients in an environment that has no such client."""

from support import Case


class WithoutClients(Case):
    def test_the_adapters_are_there_only_where_their_client_is(self):
        for name in ("requests", "httpx"):
            with self.assertRaises(ImportError) as caught:
                __import__(f"keyferry.{name}")
            self.assertEqual(caught.exception.name, name)
