"""Models made for the bench: sectors of one kind, coupled in a ring, as many as wanted.

`arithmetic` holds what most published models hold: stocks, delays, ratios, tables. `powers` is
dominated by exponentials and powers. Both stay finite by construction: what drives a sector is a
ratio between one half and two.
"""

from __future__ import annotations

from tests.small import text

_ARITHMETIC = """
population {i} = INTEG(births {i} - deaths {i} + moved {before} - moved {i}, 100 + {i})
capital {i} = INTEG(investment {i} - capital {i}/lifetime of capital {i}, 300)
births {i} = population {i}*birth rate {i}*births from crowding {i}
deaths {i} = population {i}/lifetime {i}
lifetime {i} = usual lifetime {i}*lifetime from output {i}*lifetime from crowding {i}
moved {i} = MAX(0, population {i} - population {before})*mobility {i}
output {i} = capital {i}/capital per output {i}*use of capacity {i}
output per person {i} = ZIDZ(output {i}, population {i})
perceived output {i} = SMOOTH3(output per person {i}, time to perceive {i})
investment {i} = output {i}*share invested {i}*share from need {i}
share from need {i} = table of need {i}(perceived output {i}/wanted output {i})
use of capacity {i} = MIN(1, population {i}*0.65/MAX(1, workplaces {i}))
workplaces {i} = capital {i}*places per capital {i}
crowding {i} = population {i}/land {i}/usual crowding {i}
lifetime from crowding {i} = table of crowding {i}(crowding {i})
births from crowding {i} = WITH LOOKUP(crowding {i}, ((0,1.05),(1,0.95),(2,0.7),(4,0.3),(8,0.1)))
lifetime from output {i} = table of output {i}(perceived output {i})
pollution made {i} = DELAY3(output {i}*pollution per output {i}, time to appear {i})
pollution {i} = INTEG(pollution made {i} - pollution {i}/time to vanish {i}, 10)
health {i} = IF THEN ELSE(pollution {i} > tolerated {i}, tolerated {i}/pollution {i}, 1)
usual lifetime {i} = 40
birth rate {i} = 0.035
mobility {i} = 0.01
capital per output {i} = 3
lifetime of capital {i} = 15
time to perceive {i} = 4
share invested {i} = 0.2
wanted output {i} = 0.8
places per capital {i} = 0.2
land {i} = 120
usual crowding {i} = 1
pollution per output {i} = 0.1
time to appear {i} = 6
time to vanish {i} = 8
tolerated {i} = 20
table of need {i}((0,1.6),(0.25,1.45),(0.5,1.3),(0.75,1.15),(1,1),(1.5,0.8),(2,0.65),(3,0.5))
table of crowding {i}((0,1.1),(0.5,1.05),(1,1),(2,0.88),(3,0.75),(4,0.6),(6,0.45),(8,0.3))
table of output {i}((0,0.6),(0.2,0.75),(0.4,0.88),(0.8,1),(1.2,1.1),(2,1.25),(3,1.35),(5,1.4))
"""
_POWERS = """
price {i} = INTEG(price {i}*push {i}*speed {i}*(1 - price {i}/ceiling {i}), 10)
push {i} = LN(1 + pressure {i}/(1 + pressure {i}))
supply {i} = INTEG((offered {i} - supply {i})/time to adjust {i}, 50)
users {i} = INTEG(started {i} - users {i}*exit rate {i}, 20)
offered {i} = capacity {i}*(price {i}/usual price {i})^elasticity of supply {i}
demand {i} = users {i}*use per user {i}*(price {i}/usual price {i})^(-elasticity of demand {i})
pressure {i} = MAX(0, demand {i}/MAX(1, supply {i}))
purity {i} = 1 - EXP(-supply {i}/(demand {i} + 1))
hazard {i} = base hazard {i}*EXP(purity {i}*strength {i})*(1 - naloxone {i})
deaths {i} = users {i}*hazard {i}
started {i} = susceptible {i}*(users {before}/100)^contagion {i}*EXP(-price {i}/dear {i})
naloxone {i} = 1 - EXP(-kits {i}/1000)
risk {i} = SQRT(hazard {i}*purity {i})
quality {i} = (1 + purity {i})^quality power {i}
counted {i} = INTEG(deaths {i}*quality {i}, 0)
capacity {i} = 40
usual price {i} = 10
ceiling {i} = 60
speed {i} = 0.3
elasticity of supply {i} = 0.6
elasticity of demand {i} = 0.45
time to adjust {i} = 2
exit rate {i} = 0.12
use per user {i} = 2
base hazard {i} = 0.005
strength {i} = 1.4
susceptible {i} = 8
contagion {i} = 0.7
dear {i} = 25
kits {i} = 300
quality power {i} = 1.3
"""


def _ring(sector: str, sectors: int, **settings) -> str:
    body = "".join(sector.format(i=i, before=(i - 1) % sectors) for i in range(sectors))
    # A line that defines a table stands as it is.
    lines = [
        f"{line} ~ Dmnl ~ |" if line.startswith("table") and "=" not in line else line
        for line in body.strip().split("\n")
        if line.strip()
    ]
    return text("\n".join(lines), **settings)


def arithmetic(sectors: int = 5) -> str:
    """The text of a model of 38 variables a sector, Euler, 400 steps."""
    return _ring(_ARITHMETIC, sectors, start=0, end=200, step=0.5, saveper=1)


def powers(sectors: int = 6) -> str:
    """The text of a model of 30 variables a sector, Euler, 1,280 steps."""
    return _ring(_POWERS, sectors, start=0, end=40,
                 step=0.03125, saveper=1)  # fmt: skip
