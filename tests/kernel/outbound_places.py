"""Places that requests must not, and may, lead to."""

# ruff: noqa: SIM905 -- a table of places reads better than hundreds of quotes

from __future__ import annotations

PRIVATE_4 = """
    0.0.0.0 0.0.0.1 0.1.2.3 0.255.255.255
    10.0.0.0 10.0.0.1 10.1.2.3 10.255.255.255
    100.64.0.0 100.64.0.1 100.100.100.200 100.127.255.255
    127.0.0.0 127.0.0.1 127.0.1.1 127.1.2.3 127.255.255.255
    168.63.129.16
    169.254.0.0 169.254.169.254 169.254.170.2 169.254.255.255
    172.16.0.0 172.16.0.1 172.20.10.1 172.31.255.255
    192.0.0.0 192.0.0.1 192.0.0.8 192.0.0.170 192.0.0.192 192.0.0.255
    192.0.2.0 192.0.2.1 192.0.2.255 192.88.99.0 192.88.99.1 192.88.99.255
    192.168.0.0 192.168.0.1 192.168.1.254 192.168.255.255
    198.18.0.0 198.18.0.1 198.19.255.255 198.51.100.0 198.51.100.7 198.51.100.255
    203.0.113.0 203.0.113.9 203.0.113.255
    224.0.0.0 224.0.0.1 239.255.255.250 239.255.255.255
    240.0.0.0 240.0.0.1 254.1.2.3 255.255.255.254 255.255.255.255
""".split()

PRIVATE_6 = """
    :: ::1 ::2 ::7f00:1 ::127.0.0.1 ::169.254.169.254 ::10.0.0.1 ::8.8.8.8
    ::ffff:127.0.0.1 ::ffff:7f00:1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:8.8.8.8
    ::ffff:0:127.0.0.1 ::ffff:0:a9fe:a9fe ::ffff:0:8.8.8.8
    64:ff9b::127.0.0.1 64:ff9b::a9fe:a9fe 64:ff9b::8.8.8.8 64:ff9b:1::1 64:ff9b:1:ffff::7f00:1
    100::1 100:0:0:1::1 200::1 400::1 1fff:ffff::1
    2001::1 2001:0:7f00:1:: 2001:2::1 2001:3::1 2001:10::1 2001:20::1 2001:1ff:ffff::1
    2001:db8::1 2001:db8:ffff::1 2002::1 2002:7f00:1:: 2002:a9fe:a9fe:: 2002:0a00:0001::1
    2002:808:808::1 2620:4f:8000::1 2620:4f:8000:ffff::1 3fff::1 3fff:fff::1
    4000::1 5f00::1 8000::1 fc00::1 fd00::1 fd12:3456:789a::1 fd00:ec2::254 fdff::1
    fe00::1 fe80::1 fe80::a9fe:a9fe fe90::1 febf::1 fec0::1 feff::1 ff00::1 ff02::1 ff05::1:3
""".split()

# The neighbors of each forbidden range, and well-known services.
PUBLIC = """
    1.0.0.0 1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255
    128.0.0.0 168.63.129.15 168.63.129.17 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0
    191.255.255.255 192.0.1.0 192.0.3.0 192.31.196.1 192.52.193.1 192.88.98.255 192.88.100.0
    192.167.255.255 192.169.0.0 192.175.48.1 198.17.255.255 198.20.0.0 198.51.99.255 198.51.101.0
    203.0.112.255 203.0.114.0 223.255.255.255 140.82.121.4 151.101.1.69 104.16.132.229
    2000::1 2001:200::1 2001:4860:4860::8888 2001:db7:ffff::1 2001:db9::1 2001:ffff::1
    2003::1 2400:cb00::1 2606:4700:4700::1111 2620:4e:ffff::1 2620:4f:7fff::1 2620:4f:8001::1
    2a00:1450:4001::200e 3ffe::1 3fff:1000::1
""".split()

# Other spellings of 127.0.0.1 and its like, which some reader of URLs understands.
ODD_HOSTS = [
    *"127.1 127.0.1 127 0 1 017700000001 2130706433 02130706433 0x7f000001 0x7F000001".split(),
    *"0x7f.1 0x7f.0.0.1 0x7f.0x0.0x0.0x1 0177.1 0177.0.0.1 0177.0000.0000.0001 00177.0.0.1".split(),
    *"127.0.0.01 127.00.0.1 127.000.000.001 127.0.0.0x1 127.0x1 127.0.0.1. 127.0.0.1..".split(),
    *"127..0.1 .127.0.0.1 127.0.0.1.1 256.0.0.1 127.0.0.256 127.0.0.4294967297 4294967296".split(),
    *"3232235521 2852039166 0xa9fea9fe 0xa9.254.169.254 025177524776 0251.0376.0251.0376".split(),
    *"169.254.43518 169.16689662 10.1 0xa.1 012.1 192.168.257 1e3 0b1 0o177.1 -1 +127.0.0.1".split(),
    *"１２７.０.０.１ 127．0．0．1 127。0。0。1 127｡0｡0｡1 ①②⑦.⓪.⓪.① １２７.１ 𝟭𝟮𝟳.𝟬.𝟬.𝟭 𝟙𝟚𝟟.0.0.1".split(),
    *"ⓛⓞⓒⓐⓛⓗⓞⓢⓣ ｌｏｃａｌｈｏｓｔ ℓocalhost localhoſt ₗocalhost ＬＯＣＡＬＨＯＳＴ exam\u00adple.com".split(),
    *"١٢٧.٠.٠.١ १२७.0.0.1 127.0.0.１ lo\u200bcalhost lo\u200dcalhost a\u202eb.example \u212a8s.example".split(),
    *"[::1 ::1] ::1 [::1]] [[::1]] [] [:::1] [::1::] [12345::] [1:2:3:4:5:6:7:8:9] [127.0.0.1]".split(),
    *"[::ffff:127.1] [::ffff:0x7f.0.0.1] [::ffff:127.0.0.01] [fe80::1%25eth0] [fe80::1%eth0]".split(),
    *"[fe80::1%251] [::1%25] [v1.fe80::a] [::1.] [０::１] [::１] [g::1] [localhost] [::1]x x[::1]".split(),
    *"127.0.0.1%2e 127.0.0.1%00 %31%32%37.0.0.1 127%2e0%2e0%2e1 local%68ost localhost%00.example".split(),
    *"example..com .example.com example.com. localhost. - -a.example a-.example a.-b.example".split(),
    *"a,b.example a;b.example a*b.example *.example a$b.example (a).example a'b.example {a}".split(),
    *'a!b.example a=b.example a&b.example a<b.example a"b.example a`b.example a|b.example ~'.split(),
    "a" * 64 + ".example",
    "a." * 130 + "example",
    "xn--\u00fc.example",
    "\u2488.example",
    "i\u2764.example",
    "\u0645.\u0661",
]

ODD_URLS = [
    "",
    "//127.0.0.1/",
    "/admin",
    "127.0.0.1",
    "localhost:9000",
    "http:",
    "http:/",
    "http://",
    "http:///",
    "http:///127.0.0.1/",
    "http:127.0.0.1",
    "http:/127.0.0.1/",
    "http://:9000/",
    "http://?@127.0.0.1/",
    "http://#@127.0.0.1/",
    "https://",
    "ftp://ftp.example/",
    "file:///etc/passwd",
    "file://127.0.0.1/etc/passwd",
    "gopher://127.0.0.1:6379/_INFO",
    "dict://127.0.0.1:6379/info",
    "ldap://127.0.0.1/",
    "ws://127.0.0.1/",
    "jar:http://127.0.0.1!/",
    "url:http://127.0.0.1/",
    "javascript:alert(1)",
    "data:text/plain,x",
    "unix:///var/run/docker.sock",
    "http+unix://%2Fvar%2Frun%2Fdocker.sock/info",
    "httpx://public.example/",
    "ｈttp://public.example/",
    "http：//public.example/",
    "http:／／public.example/",
    "http://user@public.example/",
    "http://user:password@public.example/",
    "http://@public.example/",
    "http://:@public.example/",
    "http://public.example@127.0.0.1/",
    "http://public.example:80@127.0.0.1/",
    "http://127.0.0.1@public.example/",
    "http://public.example%40127.0.0.1/",
    "http://public.example%2f@127.0.0.1/",
    "http://public.example\\@127.0.0.1/",
    "http://127.0.0.1\\@public.example/",
    "http://public.example\\.127.0.0.1/",
    "http:\\\\127.0.0.1\\",
    "http://127.0.0.1\\..\\public.example/",
    "http://public.example/\\",
    " http://public.example/",
    "http://public.example/ ",
    "http:// public.example/",
    "http://public .example/",
    "http://public.example/a b",
    "http://public.example/\t",
    "ht\ntp://public.example/",
    "http://public.example/\r\nHost: 127.0.0.1",
    "http://public.example\r\n/",
    "http://public.example\x00.evil.example/",
    "http://public.example/\x00",
    "http://public.example/\x7f",
    "http://public.example/\x85",
    "http://public.example/\xa0",
    "http://public.example/\u2028",
    "http://public.example/\u3000",
    "http://public.example/\ud800",
    "\ufeffhttp://public.example/",
    "http://public.example:/",
    "http://public.example:0/",
    "http://public.example:-80/",
    "http://public.example:+80/",
    "http://public.example:080/",
    "http://public.example:80:80/",
    "http://public.example:80a/",
    "http://public.example:0x50/",
    "http://public.example:８０/",
    "http://public.example:65536/",
    "http://public.example:99999999999/",
    "http://public.example:٨٠/",
    "http://public.example:22/",
    "http://public.example:25/",
    "http://public.example:6379/",
    "http://public.example:5432/",
    "http://public.example:9000/",
    "https://public.example:11211/",
    "http://public.example/" + "a" * 2_048,
    "http://localhost/",
    "http://LOCALHOST:8080/",
    "https://mixed.example/",
    "https://many.example/",
    "https://zone.example/",
    "https://metadata.google.internal/computeMetadata/v1/",
]
