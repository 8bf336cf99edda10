{
 "cells": [
  {"cell_type": "code", "execution_count": null, "source": ["def init():\n", "    pass\n"]}
 ],
 "nbformat": 4
}
