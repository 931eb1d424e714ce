"""Our own addresses never go through a proxy."""

from __future__ import annotations

from shell import Shell


def test_words_are_appended_once(shell: Shell) -> None:
    done = shell.run("no_proxy_of 'example.org,localhost' localhost 10.1.2.3 '' 10.1.2.3 example.or", "proxy")
    assert done.stdout == "example.org,localhost,10.1.2.3,example.or\n"


def test_without_a_proxy_the_environment_stays_as_it_is(shell: Shell) -> None:
    assert shell.run('HOST_IP=10.9.8.7; proxy_export; echo "${no_proxy-unset}"', "proxy").stdout == "unset\n"


def test_with_a_proxy_all_that_is_ours_is_excepted(shell: Shell) -> None:
    code = 'HOST_IP=10.9.8.7; proxy_export; echo "$no_proxy"; echo "$NO_PROXY"; echo "$https_proxy"; hostname'
    done = shell.run(code, "proxy", HTTPS_PROXY="http://proxy.example:3128", NO_PROXY="internal.example")
    lower, upper, proxy, name = done.stdout.split()
    assert lower == upper
    assert {"internal.example", "localhost", "127.0.0.1", "::1", "10.9.8.7", name} <= set(lower.split(","))
    assert proxy == "http://proxy.example:3128"
